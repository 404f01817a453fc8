WITH followed AS (SELECT following_id FROM figures.follows WHERE follower_id = {reader:UUID})
SELECT p.id,
       0.3 * exp(-0.1 * ({now:Int64} - p.created_ms) / 3600000)
       + 0.4 * log(1 + h.ratio)
       + 0.3 * log(1 + a.interactions) AS score
FROM figures.posts AS p
LEFT JOIN (
    SELECT post_id, (sum(likes) + 2 * sum(comments) + 3 * sum(shares)) / greatest(sum(impressions), 1) AS ratio
    FROM figures.hours
    WHERE hour BETWEEN intDiv({now:Int64}, 3600000) - 23 AND intDiv({now:Int64}, 3600000)
      AND post_id IN (
          SELECT id FROM figures.posts
          WHERE user_id IN followed AND created_ms BETWEEN {now:Int64} - 72 * 3600000 AND {now:Int64}
      )
    GROUP BY post_id
) AS h ON h.post_id = p.id
LEFT JOIN (
    SELECT author_id, interactions FROM figures.pairs WHERE user_id = {reader:UUID}
) AS a ON a.author_id = p.user_id
WHERE p.user_id IN followed AND p.created_ms BETWEEN {now:Int64} - 72 * 3600000 AND {now:Int64}
ORDER BY score DESC, p.created_ms DESC, p.id DESC
LIMIT 20
