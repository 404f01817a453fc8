-- What readers did with authors' posts below a node's own part of the log, by day.
-- What came before the node's first day the view has by day; of that day and later, `events` has it by log position.
-- Days are numbers since 1970 and every zone is named: nothing here depends on where a server stands.
SELECT
    user_id, author_id, day,
    sum(v) AS views, sum(i) AS impressions, sum(l) AS likes, sum(c) AS comments, sum(s) AS shares, sum(d) AS dwell_ms,
    max(t) AS last_ts
FROM
(
    SELECT
        user_id, author_id, day, toUInt64(views) AS v, toUInt64(impressions) AS i, toUInt64(likes) AS l,
        toUInt64(comments) AS c, toUInt64(shares) AS s, toUInt64(dwell_ms) AS d,
        toUnixTimestamp64Milli(last_ts) AS t
    FROM user_author_90d
    WHERE user_id IN ? AND day BETWEEN toDate(?) AND toDate(?) AND arrival_day >= toDate(?) AND arrival_day < toDate(?)
    UNION ALL
    SELECT
        user_id, assumeNotNull(author_id) AS author_id, toDate(event_time, 'UTC') AS day,
        toUInt64(action = 'view') AS v, toUInt64(action = 'impression') AS i, toUInt64(action = 'like') AS l,
        toUInt64(action = 'comment') AS c, toUInt64(action = 'share') AS s, toUInt64(dwell_ms) AS d,
        toUnixTimestamp64Milli(event_time) AS t
    FROM
    (
        SELECT user_id, event_id, event_time, author_id, action, dwell_ms
        FROM events
        WHERE user_id IN ? AND author_id IS NOT NULL AND (action != 'hide' OR dwell_ms > 0)
            AND event_time >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND event_time < fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _ts >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _ts < fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _cluster = ? AND _topic = ? AND _offset < transform(_partition, ?, ?, toUInt64(0))
        -- A repeat that is not merged away yet.
        LIMIT 1 BY user_id, event_id
    )
)
GROUP BY user_id, author_id, day
-- Readers one after the other; of one with more rows than are taken, what they did most stays.
ORDER BY user_id, views + likes + comments + shares DESC, day DESC, author_id DESC
LIMIT ? BY user_id
