-- Recreates the demonstration's database A. The login aggregator reads every merchant's rows;
-- aggregator_by_user only the rows of the user in app.user (docs/row_level_security.sql).
DROP TABLE IF EXISTS customer_cards, transactions, merchant_access;
CREATE TABLE customer_cards (customer_cpf text, card_number text);
CREATE TABLE transactions (
    card_number text, transaction_date date, transaction_time time,
    merchant_id text, virtual_card_number text, amount numeric(12,2)
);
CREATE TABLE merchant_access (user_name text, merchant_id text);
CREATE INDEX ON customer_cards (card_number);
CREATE INDEX ON transactions (merchant_id, transaction_date);

DO $$ BEGIN
    CREATE ROLE aggregator_by_user LOGIN;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
GRANT SELECT ON customer_cards, transactions TO aggregator, aggregator_by_user;
GRANT SELECT ON merchant_access TO aggregator_by_user;

ALTER TABLE transactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer_cards ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON transactions FOR SELECT TO aggregator USING (true);
CREATE POLICY everything ON customer_cards FOR SELECT TO aggregator USING (true);
CREATE POLICY own_merchants ON transactions FOR SELECT TO aggregator_by_user
    USING (merchant_id IN (
        SELECT a.merchant_id FROM merchant_access AS a
        WHERE a.user_name = NULLIF(current_setting('app.user', true), '')
    ));
CREATE POLICY own_merchants ON customer_cards FOR SELECT TO aggregator_by_user
    USING (card_number IN (SELECT t.card_number FROM transactions AS t));
