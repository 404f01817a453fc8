-- What the fallback feed's query needs beside the primary keys (the same for both kinds of ids).
-- On a large live table create these by hand with CREATE INDEX CONCURRENTLY first; IF NOT EXISTS then leaves them alone.

-- The newest posts of one author, read from the front and in the feed's order. Posts marked deleted are left out of the
-- index, so that an author who deleted a thousand posts costs nothing.
CREATE INDEX IF NOT EXISTS posts_by_author ON posts (user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- Whom a reader follows, and whom a reader blocks: the primary keys of follows and blocks begin with that column.
-- Who blocks the reader:
CREATE INDEX IF NOT EXISTS blocks_by_blocked ON blocks (blocked_id, blocker_id);
