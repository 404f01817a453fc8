-- The newest posts by whom a reader follows, newest first, ties by id, highest first: one page.
--   $1 the reader (uuid or bigint, as node.ids says)
--   $2 and $3 where the page before ended: creation time in microseconds since 1970, and post
--   $4 how many posts
-- Without the reader's own posts, deleted ones, and those of authors blocked by the reader or blocking the reader.
--
-- An author has a post among the newest $4 of all only when the author's own newest is among the newest $4 of those: so
-- one look into posts_by_author finds each author's newest, and only $4 authors are read further. Nobody's posts are
-- sorted as a whole.
WITH above AS (
    SELECT timestamptz 'epoch' + $2::bigint * interval '1 microsecond' AS created_at
), authors AS (
    SELECT follows.following_id AS id
    FROM follows
    CROSS JOIN LATERAL (
        SELECT posts.created_at, posts.id
        FROM posts
        WHERE posts.user_id = follows.following_id
          AND posts.deleted_at IS NULL
          AND (posts.created_at, posts.id) < ((SELECT created_at FROM above), $3)
          AND posts.created_at > '-infinity'
        ORDER BY posts.created_at DESC, posts.id DESC
        LIMIT 1
    ) newest
    WHERE follows.follower_id = $1
      AND follows.following_id <> $1
      AND NOT EXISTS (
          SELECT FROM blocks WHERE blocks.blocker_id = $1 AND blocks.blocked_id = follows.following_id)
      AND NOT EXISTS (
          SELECT FROM blocks WHERE blocks.blocked_id = $1 AND blocks.blocker_id = follows.following_id)
    ORDER BY newest.created_at DESC, newest.id DESC
    LIMIT $4
)
SELECT post.id, authors.id AS author_id, (extract(epoch FROM post.created_at) * 1000000)::bigint AS created_us
FROM authors
CROSS JOIN LATERAL (
    SELECT posts.id, posts.created_at
    FROM posts
    WHERE posts.user_id = authors.id
      AND posts.deleted_at IS NULL
      AND (posts.created_at, posts.id) < ((SELECT created_at FROM above), $3)
      AND posts.created_at > '-infinity'
    ORDER BY posts.created_at DESC, posts.id DESC
    LIMIT $4
) post
ORDER BY post.created_at DESC, post.id DESC
LIMIT $4
