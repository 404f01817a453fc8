-- The newest version of every row of a range, deleted ones included as far as they are to be remembered.
SELECT {n}(id) AS comment, max(_version) AS version,
    argMax((_deleted, toUnixTimestamp64Milli(_ts), {n}(post_id), {n}(user_id)), _version) AS state
FROM comments_cdc
WHERE {n}(id) BETWEEN {b}(?) AND {b}(?)
GROUP BY comment
HAVING state.1 = 0 OR state.2 >= ?
ORDER BY comment
