-- Event ids that a node would still remember of one partition, by the hour of their record time, with their first offset.
SELECT _partition, toUInt32(intDiv(toUnixTimestamp64Milli(_ts), 3600000)) AS hour, toUInt128(event_id) AS id,
    min(_offset) AS offset
FROM events
WHERE _partition = ? AND _cluster = ? AND _topic = ? AND _offset < ?
    AND _ts >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')
GROUP BY _partition, hour, id
ORDER BY _partition, hour, id
