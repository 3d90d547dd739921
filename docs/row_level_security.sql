-- Row-level security for the dashboard: the databases themselves decide who reads which merchant.
-- With row_level_security = true every read of the product runs in one transaction that begins
-- with set_config('app.user', <e-mail of the signed-in person>, true); scheduled runs use the login
-- (aggregator). Apply each half as the owner of its tables. The product refuses to start if the
-- policies do not apply to its login.
--
-- Row-level security does not apply to a superuser, to a role with BYPASSRLS, to the
-- owner of a table without FORCE ROW LEVEL SECURITY, or through views of such a role.

-- side: transactions (database A) ---------------------------------------------------------------

CREATE TABLE merchant_access (
    user_name   text,       -- the e-mail as the identity provider gives it, in lower case
    merchant_id text,       -- the CNPJ, 14 characters
    PRIMARY KEY (user_name, merchant_id)
);
GRANT SELECT ON merchant_access TO aggregator;

ALTER TABLE transactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE transactions FORCE ROW LEVEL SECURITY;
ALTER TABLE customer_cards ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer_cards FORCE ROW LEVEL SECURITY;

CREATE POLICY own_merchants ON transactions FOR SELECT TO aggregator
    USING (merchant_id IN (
        SELECT a.merchant_id FROM merchant_access AS a
        WHERE a.user_name = NULLIF(current_setting('app.user', true), '')
    ));

-- Only the holders of those transactions' cards.
CREATE POLICY own_merchants ON customer_cards FOR SELECT TO aggregator
    USING (card_number IN (SELECT t.card_number FROM transactions AS t));

-- side: auth_logs (database B) ------------------------------------------------------------------

CREATE TABLE authentication.merchant_access (
    user_name text, merchant_id text, PRIMARY KEY (user_name, merchant_id)
);
GRANT SELECT ON authentication.merchant_access TO aggregator;

ALTER TABLE authentication.transaction_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE authentication.transaction_logs FORCE ROW LEVEL SECURITY;

-- The acceptor field of the raw line holds the CNPJ, left-padded with zeros to 15 characters.
CREATE POLICY own_merchants ON authentication.transaction_logs FOR SELECT TO aggregator
    USING (EXISTS (
        SELECT 1 FROM authentication.merchant_access AS a
        WHERE a.user_name = NULLIF(current_setting('app.user', true), '')
          AND strpos(raw_data, lpad(a.merchant_id, 15, '0')) > 0
    ));

-- end --------------------------------------------------------------------------------------------

-- Grants of a person and of the scheduled run, in both databases (schema authentication in B):
--   INSERT INTO merchant_access VALUES ('ana@example.com', '12345678000195');
--   INSERT INTO merchant_access VALUES ('aggregator', '12345678000195');
