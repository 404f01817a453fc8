-- As 001_history.sql, of every reader of a range, in the order of a node's keys.
SELECT
    reader, author, day,
    sum(v) AS views, sum(i) AS impressions, sum(l) AS likes, sum(c) AS comments, sum(s) AS shares, sum(d) AS dwell_ms,
    max(t) AS last_ts
FROM
(
    SELECT
        {n}(user_id) AS reader, {n}(author_id) AS author, toUInt16(day) AS day, toUInt64(views) AS v,
        toUInt64(impressions) AS i, toUInt64(likes) AS l, toUInt64(comments) AS c, toUInt64(shares) AS s,
        toUInt64(dwell_ms) AS d, toUnixTimestamp64Milli(last_ts) AS t
    FROM user_author_90d
    WHERE {n}(user_id) BETWEEN {b}(?) AND {b}(?)
        AND user_author_90d.day BETWEEN toDate(?) AND toDate(?) AND arrival_day >= toDate(?) AND arrival_day < toDate(?)
    UNION ALL
    SELECT
        reader, author, toUInt16(toDate(event_time, 'UTC')) AS day,
        toUInt64(action = 'view') AS v, toUInt64(action = 'impression') AS i, toUInt64(action = 'like') AS l,
        toUInt64(action = 'comment') AS c, toUInt64(action = 'share') AS s, toUInt64(dwell_ms) AS d,
        toUnixTimestamp64Milli(event_time) AS t
    FROM
    (
        SELECT
            {n}(user_id) AS reader, {n}(assumeNotNull(author_id)) AS author, event_id, event_time, action, dwell_ms
        FROM events
        WHERE {n}(user_id) BETWEEN {b}(?) AND {b}(?) AND author_id IS NOT NULL AND (action != 'hide' OR dwell_ms > 0)
            AND event_time >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND event_time < fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _ts >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _ts < fromUnixTimestamp64Milli(toInt64(?), 'UTC')
            AND _cluster = ? AND _topic = ? AND _offset < transform(_partition, ?, ?, toUInt64(0))
        -- A repeat that is not merged away yet.
        LIMIT 1 BY reader, event_id
    )
)
GROUP BY reader, author, day
ORDER BY reader, author, day
