-- Users who were forgotten. A node that begins anew, or with an old backup, reads here whom not to bring back, so rows
-- are never removed. The earliest time of a user holds.
CREATE TABLE IF NOT EXISTS {database}.forgotten_users {on_cluster}
(
    user_id      {id},
    forgotten_at DateTime64(3, 'UTC')            -- records that came into Kafka from then on count for nothing
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (user_id, forgotten_at)
SETTINGS {dedup_window}
