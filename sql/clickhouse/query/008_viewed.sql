-- What readers of a range viewed of late, and when last, below a node's own part of the log.
SELECT {n}(user_id) AS reader, {n}(post_id) AS post, toUnixTimestamp64Milli(max(event_time)) AS time
FROM events
WHERE {n}(user_id) BETWEEN {b}(?) AND {b}(?) AND action = 'view'
    AND event_time >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
    AND event_time <= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
    -- An event is dated five minutes ahead of its record at most.
    AND _ts >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
    AND _cluster = ? AND _topic = ? AND _offset < transform(_partition, ?, ?, toUInt64(0))
GROUP BY reader, post
ORDER BY reader, post
