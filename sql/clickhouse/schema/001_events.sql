-- Client events, one row each: what every view below is made from.
-- A repeat in another partition of the log, or of hours ago, merges away by event_id; repeats within a partition are
-- left out by the sink. The deduplication window makes a range that is sent twice land once.
CREATE TABLE IF NOT EXISTS {database}.events {on_cluster}
(
    event_id     UUID,
    event_time   DateTime64(3, 'UTC'),           -- by the client's clock
    user_id      {id},
    post_id      {id},
    author_id    Nullable({id}),                 -- without it the event never counts for affinity
    action       LowCardinality(String),
    dwell_ms     UInt32,
    device       LowCardinality(String),
    app_ver      LowCardinality(String),
    _cluster     LowCardinality(String),         -- node.cluster of the log the row came from
    _epoch       UInt32,                         -- raised when a topic is read anew (`edgefeed sink resume --accept-reset`)
    _topic       LowCardinality(String),
    _partition   UInt32,
    _offset      UInt64,
    _ts          DateTime64(3, 'UTC'),           -- Kafka's record time
    _range_first UInt64 CODEC(Delta, ZSTD),      -- first and last offset of the insert the row came with:
    _range_last  UInt64 CODEC(Delta, ZSTD)       -- what `sink resume --from center` goes on from
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(_ts, 'UTC')
ORDER BY (user_id, event_id)
TTL toDateTime(_ts, 'UTC') + INTERVAL 97 DAY
SETTINGS {dedup_window}, ttl_only_drop_parts = 1
