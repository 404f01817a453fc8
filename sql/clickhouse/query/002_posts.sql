-- The newest version of every row of a range, deleted ones included as far as they are to be remembered.
SELECT {n}(id) AS post, max(_version) AS version,
    argMax((_deleted, toUnixTimestamp64Milli(_ts), {n}(user_id), toUnixTimestamp64Milli(created_at), isNotNull(deleted_at)),
        _version) AS state
FROM posts_cdc
WHERE {n}(id) BETWEEN {b}(?) AND {b}(?)
GROUP BY post
HAVING state.1 = 0 OR state.2 >= ?
ORDER BY post
