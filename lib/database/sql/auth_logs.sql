-- The raw line is a fixed-layout card message that holds the merchant in a 15-character field.
SELECT l.card_number    AS num_cartao,
       l.log_date       AS data,
       l.log_time       AS hora,
       l.response_code  AS cod_resposta,
       l.description    AS des_log,
       l.raw_data       AS des_linha_recebimento
FROM authentication.transaction_logs AS l
WHERE l.log_date >= :start AND l.log_date < :end + 1
  AND strpos(l.raw_data::text, :merchant_field) > 0
