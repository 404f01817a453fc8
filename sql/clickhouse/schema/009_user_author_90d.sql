-- What a reader did with an author's posts, by day: 90 days of it are their affinity. Always read with a filter by day.
-- The window of deduplication must stand here too: a repeated insert is kept out of each table by that table's own.
CREATE TABLE IF NOT EXISTS {database}.user_author_90d {on_cluster}
(
    user_id      {id},
    author_id    {id},
    day          Date,                           -- UTC day of event_time: what it is about
    arrival_day  Date,                           -- UTC day of Kafka's record time: when it came
    views        SimpleAggregateFunction(sum, UInt64),
    impressions  SimpleAggregateFunction(sum, UInt64),
    likes        SimpleAggregateFunction(sum, UInt64),
    comments     SimpleAggregateFunction(sum, UInt64),
    shares       SimpleAggregateFunction(sum, UInt64),
    dwell_ms     SimpleAggregateFunction(sum, UInt64),
    last_ts      SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = {replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(arrival_day)
ORDER BY (user_id, author_id, day, arrival_day)
TTL day + INTERVAL 97 DAY
SETTINGS {dedup_window}
