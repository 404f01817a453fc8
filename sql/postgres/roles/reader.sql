-- The role that the fallback logs in with: reads four tables, writes nothing, and never runs long. Once per cluster and
-- database, by a superuser (schema/ needs only the tables' owner). Then set its password:  \password edgefeed_reader
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'edgefeed_reader') THEN
        CREATE ROLE edgefeed_reader LOGIN CONNECTION LIMIT 50;
    END IF;
END
$$;
ALTER ROLE edgefeed_reader SET default_transaction_read_only = on;
ALTER ROLE edgefeed_reader SET statement_timeout = '250ms';
GRANT SELECT ON users, posts, follows, blocks TO edgefeed_reader;
