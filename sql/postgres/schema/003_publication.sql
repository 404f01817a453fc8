-- What Debezium (plugin.name = pgoutput) subscribes to; give it publication.autocreate.mode = disabled.
-- Needs wal_level = logical, and a role that owns these tables.
--
-- REPLICA IDENTITY stays at its default, the primary key: edgefeed believes of a delete only its key, so FULL would only
-- make the log larger. If FULL is set for other consumers' sake, nothing changes here.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'edgefeed_cdc') THEN
        CREATE PUBLICATION edgefeed_cdc FOR TABLE users, posts, follows, comments, likes, blocks;
    END IF;
END
$$;
