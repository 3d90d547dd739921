-- The latest instant of the whole table, records dated after :end left out.
SELECT d.day + coalesce(
    (SELECT max(t.transaction_time::time) FROM transactions AS t
     WHERE t.transaction_date >= d.day AND t.transaction_date < d.day + 1),
    time '00:00')
FROM (SELECT max(t.transaction_date)::date AS day
      FROM transactions AS t WHERE t.transaction_date < :end + 1) AS d
