-- What readers of a range hid, below a node's own part of the log, as far back as events are kept.
SELECT {n}(user_id) AS reader, {n}(post_id) AS post, toUnixTimestamp64Milli(max(event_time)) AS time
FROM events
WHERE {n}(user_id) BETWEEN {b}(?) AND {b}(?) AND action = 'hide'
    AND _cluster = ? AND _topic = ? AND _offset < transform(_partition, ?, ?, toUInt64(0))
GROUP BY reader, post
ORDER BY reader, post
