-- One row per transaction and holder; a card without a holder keeps its transaction. Texts are
-- compared with PostgreSQL's own operator: varchar has none, so another schema's would be taken.
SELECT c.customer_cpf         AS num_cpf,
       t.card_number          AS num_cartao,
       t.virtual_card_number  AS num_cartao_virtual,
       t.transaction_date     AS data_transa,
       t.transaction_time     AS hora_transa,
       t.amount               AS vlr_total,
       t.merchant_id          AS des_cnpj_reduzido
FROM transactions AS t
LEFT JOIN customer_cards AS c ON c.card_number OPERATOR(pg_catalog.=) t.card_number
WHERE t.merchant_id OPERATOR(pg_catalog.=) :merchant
  AND t.transaction_date >= :start AND t.transaction_date < :end + 1
