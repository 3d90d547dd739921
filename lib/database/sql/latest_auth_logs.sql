-- The latest instant of the whole table, records dated after :end left out.
SELECT d.day + coalesce(
    (SELECT max(l.log_time::time) FROM authentication.transaction_logs AS l
     WHERE l.log_date >= d.day AND l.log_date < d.day + 1),
    time '00:00')
FROM (SELECT max(l.log_date)::date AS day
      FROM authentication.transaction_logs AS l WHERE l.log_date < :end + 1) AS d
