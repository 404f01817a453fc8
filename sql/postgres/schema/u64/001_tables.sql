-- The tables of the application's database that edgefeed reads; ids are bigint (node.ids = "u64").
-- PostgreSQL has no unsigned type: ids run from 0 to 2^63 - 1.
-- edgefeed never writes them. Your own tables may have more columns: the change stream ignores those it does not know,
-- and the fallback names the ones it reads. What must be as here: the columns' names, types and primary keys.
-- The other variant, uuid, is beside this folder.

CREATE TABLE IF NOT EXISTS users (
    id         bigint PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS posts (
    id         bigint PRIMARY KEY,
    user_id    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,          -- set: gone from every feed, though the row is still there
    body       text                  -- not read by edgefeed; here because a real posts table has one
);

CREATE TABLE IF NOT EXISTS follows (
    follower_id  bigint NOT NULL,
    following_id bigint NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (follower_id, following_id)
);

CREATE TABLE IF NOT EXISTS comments (
    id         bigint PRIMARY KEY,
    post_id    bigint NOT NULL,
    user_id    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS likes (
    user_id    bigint NOT NULL,
    post_id    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, post_id)
);

CREATE TABLE IF NOT EXISTS blocks (
    blocker_id bigint NOT NULL,
    blocked_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blocker_id, blocked_id)
);
