SELECT p.id,
       0.3 * exp(-0.1 * ($2 - p.created_ms)::float8 / 3600000)
       + 0.4 * ln(1 + coalesce(h.ratio, 0))
       + 0.3 * ln(1 + coalesce(a.interactions, 0)::float8) AS score
FROM figures.follows f
JOIN figures.posts p
  ON p.user_id = f.following_id AND p.created_ms BETWEEN $2 - 72 * 3600000::bigint AND $2
LEFT JOIN LATERAL (
    SELECT (sum(likes) + 2 * sum(comments) + 3 * sum(shares))::float8 / greatest(sum(impressions), 1) AS ratio
    FROM figures.hours
    WHERE post_id = p.id AND hour BETWEEN ($2 / 3600000)::int - 23 AND ($2 / 3600000)::int
) h ON true
LEFT JOIN figures.pairs a ON a.user_id = f.follower_id AND a.author_id = f.following_id
WHERE f.follower_id = $1
ORDER BY score DESC, p.created_ms DESC, p.id DESC
LIMIT 20
