-- What happened to the posts of a range below a node's own part of the log, by hour of the events.
-- What came before the node's first day the view has by hour; of that day and later, `events` has it by log position.
SELECT post, hour,
    sum(v) AS views, sum(i) AS impressions, sum(l) AS likes, sum(c) AS comments, sum(s) AS shares, sum(d) AS dwell_ms
FROM
(
    SELECT
        {n}(post_id) AS post, toUInt32(intDiv(toUnixTimestamp(window_start), 3600)) AS hour, toUInt64(views) AS v,
        toUInt64(impressions) AS i, toUInt64(likes) AS l, toUInt64(comments) AS c, toUInt64(shares) AS s,
        toUInt64(dwell_ms) AS d
    FROM post_metrics_1h
    WHERE {n}(post_id) BETWEEN {b}(?) AND {b}(?)
        AND window_start >= toDateTime(toUInt32(?), 'UTC') AND arrival_day >= toDate(?) AND arrival_day < toDate(?)
    UNION ALL
    SELECT
        post, toUInt32(intDiv(toUnixTimestamp64Milli(event_time), 3600000)) AS hour,
        toUInt64(action = 'view') AS v, toUInt64(action = 'impression') AS i, toUInt64(action = 'like') AS l,
        toUInt64(action = 'comment') AS c, toUInt64(action = 'share') AS s, toUInt64(dwell_ms) AS d
    FROM
    (
        SELECT {n}(post_id) AS post, user_id, event_id, event_time, action, dwell_ms
        FROM events
        WHERE {n}(post_id) BETWEEN {b}(?) AND {b}(?) AND (action != 'hide' OR dwell_ms > 0)
            AND event_time >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _ts >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _ts < fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _cluster = ? AND _topic = ? AND _offset < transform(_partition, ?, ?, toUInt64(0))
        -- A repeat that is not merged away yet.
        LIMIT 1 BY user_id, event_id
    )
)
GROUP BY post, hour
ORDER BY post, hour
