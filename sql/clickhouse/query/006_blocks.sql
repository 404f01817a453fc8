-- The newest version of every row of a range, deleted ones included as far as they are to be remembered.
SELECT {n}(blocker_id) AS first, {n}(blocked_id) AS second, max(_version) AS version,
    argMax((_deleted, toUnixTimestamp64Milli(_ts)), _version) AS state
FROM blocks_cdc
WHERE {n}(blocker_id) BETWEEN {b}(?) AND {b}(?)
GROUP BY first, second
HAVING state.1 = 0 OR state.2 >= ?
ORDER BY first, second
