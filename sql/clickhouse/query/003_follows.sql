-- The newest version of every row of a range, deleted ones included as far as they are to be remembered.
SELECT {n}(follower_id) AS first, {n}(following_id) AS second, max(_version) AS version,
    argMax((_deleted, toUnixTimestamp64Milli(_ts)), _version) AS state
FROM follows_cdc
WHERE {n}(follower_id) BETWEEN {b}(?) AND {b}(?)
GROUP BY first, second
HAVING state.1 = 0 OR state.2 >= ?
ORDER BY first, second
