-- The application's likes as its log tells them; read with FINAL.
CREATE TABLE IF NOT EXISTS {database}.likes_cdc {on_cluster}
(
    user_id      {id},
    post_id      {id},
    created_at   DateTime64(3, 'UTC'),
    _version     UInt64,                         -- 8 bits kafka.cdc_epoch, 56 bits log position: the highest wins
    _deleted     UInt8,                          -- 1: the row is gone; only its key is to be believed then
    _cluster     LowCardinality(String),
    _epoch       UInt32,
    _topic       LowCardinality(String),
    _partition   UInt32,
    _offset      UInt64,
    _ts          DateTime64(3, 'UTC'),
    _range_first UInt64 CODEC(Delta, ZSTD),
    _range_last  UInt64 CODEC(Delta, ZSTD)
)
ENGINE = {replicated}ReplacingMergeTree(_version, _deleted)
ORDER BY (user_id, post_id)
SETTINGS {dedup_window}
