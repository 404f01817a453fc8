-- Feeds user_author_90d. A hide counts for nothing, here as on the nodes.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_user_author_90d {on_cluster} TO {database}.user_author_90d AS
SELECT
    user_id,
    assumeNotNull(events.author_id) AS author_id,
    toDate(event_time, 'UTC') AS day,
    toDate(_ts, 'UTC') AS arrival_day,
    countIf(action = 'view') AS views,
    countIf(action = 'impression') AS impressions,
    countIf(action = 'like') AS likes,
    countIf(action = 'comment') AS comments,
    countIf(action = 'share') AS shares,
    sum(toUInt64(events.dwell_ms)) AS dwell_ms,
    max(event_time) AS last_ts
FROM {database}.events
WHERE events.author_id IS NOT NULL AND (action != 'hide' OR events.dwell_ms > 0)
GROUP BY user_id, author_id, day, arrival_day
