-- What happened to a post, by day.
-- The window of deduplication must stand here too: a repeated insert is kept out of each table by that table's own.
CREATE TABLE IF NOT EXISTS {database}.post_metrics_daily {on_cluster}
(
    post_id      {id},
    day          Date,                           -- UTC day of event_time: what it is about
    arrival_day  Date,                           -- UTC day of Kafka's record time: when it came
    views        SimpleAggregateFunction(sum, UInt64),
    impressions  SimpleAggregateFunction(sum, UInt64),
    likes        SimpleAggregateFunction(sum, UInt64),
    comments     SimpleAggregateFunction(sum, UInt64),
    shares       SimpleAggregateFunction(sum, UInt64),
    dwell_ms     SimpleAggregateFunction(sum, UInt64)
)
ENGINE = {replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(arrival_day)
ORDER BY (post_id, day, arrival_day)
TTL day + INTERVAL 97 DAY
SETTINGS {dedup_window}
