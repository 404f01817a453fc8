-- Feeds post_metrics_daily. A hide counts for nothing, here as on the nodes.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_post_metrics_daily {on_cluster} TO {database}.post_metrics_daily AS
SELECT
    post_id,
    toDate(event_time, 'UTC') AS day,
    toDate(_ts, 'UTC') AS arrival_day,
    countIf(action = 'view') AS views,
    countIf(action = 'impression') AS impressions,
    countIf(action = 'like') AS likes,
    countIf(action = 'comment') AS comments,
    countIf(action = 'share') AS shares,
    sum(toUInt64(events.dwell_ms)) AS dwell_ms
FROM {database}.events
WHERE (action != 'hide' OR events.dwell_ms > 0)
GROUP BY post_id, day, arrival_day
