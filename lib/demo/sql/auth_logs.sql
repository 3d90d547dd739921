-- Recreates the demonstration's database B, with the same two logins as database A.
DROP SCHEMA IF EXISTS authentication CASCADE;
CREATE SCHEMA authentication;
CREATE TABLE authentication.transaction_logs (
    card_number text, log_date date, log_time time,
    response_code text, description text, raw_data text
);
CREATE TABLE authentication.merchant_access (user_name text, merchant_id text);
CREATE INDEX ON authentication.transaction_logs (log_date);

DO $$ BEGIN
    CREATE ROLE aggregator_by_user LOGIN;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
GRANT USAGE ON SCHEMA authentication TO aggregator, aggregator_by_user;
GRANT SELECT ON authentication.transaction_logs TO aggregator, aggregator_by_user;
GRANT SELECT ON authentication.merchant_access TO aggregator_by_user;

ALTER TABLE authentication.transaction_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON authentication.transaction_logs FOR SELECT TO aggregator USING (true);
CREATE POLICY own_merchants ON authentication.transaction_logs FOR SELECT TO aggregator_by_user
    USING (EXISTS (
        SELECT 1 FROM authentication.merchant_access AS a
        WHERE a.user_name = NULLIF(current_setting('app.user', true), '')
          AND strpos(raw_data, lpad(a.merchant_id, 15, '0')) > 0
    ));
