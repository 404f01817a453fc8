//! Every number of the ranking: the `[ranking]` section.

use edgefeed_storage::model::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};

/// The `[ranking]` section. Each field's default is the product's definition of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Weight of freshness in the score.
    pub weight_freshness: f64,
    /// Weight of engagement in the score.
    pub weight_engagement: f64,
    /// Weight of affinity in the score.
    pub weight_affinity: f64,
    /// Freshness is exp(−this · age in hours).
    pub freshness_decay: f64,
    /// Followed authors' posts: how far back, in hours.
    pub followed_hours: u32,
    /// Followed authors' posts: how many, newest first.
    pub followed_max: usize,
    /// Trending posts: how many.
    pub trending_max: usize,
    /// How often the trending posts are found anew, in milliseconds.
    pub trending_refresh_ms: u64,
    /// Posts by authors of high affinity: how far back, in days. At most 14.
    pub affinity_days: u32,
    /// Posts by authors of high affinity: how many authors.
    pub affinity_authors_max: usize,
    /// Posts by authors of high affinity: how many posts, newest first.
    pub affinity_max: usize,
    /// A post viewed in this many hours is left out. At most 24.
    pub viewed_hours: u32,
    /// How posts of one author are kept apart.
    pub spacing: Spacing,
}

/// How posts of one author are kept apart on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spacing {
    /// Of the first so many places …
    pub first_places: usize,
    /// … one author takes at most so many.
    pub first_max: usize,
    /// Places of one author differ by at least this.
    pub gap: usize,
    /// Of any so many places in a row …
    pub window: usize,
    /// … one author takes at most so many.
    pub window_max: usize,
}

impl Default for Spacing {
    fn default() -> Self {
        Self { first_places: 5, first_max: 1, gap: 3, window: 50, window_max: 3 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            weight_freshness: 0.30,
            weight_engagement: 0.40,
            weight_affinity: 0.30,
            freshness_decay: 0.1,
            followed_hours: 72,
            followed_max: 500,
            trending_max: 200,
            trending_refresh_ms: 1_000,
            affinity_days: 14,
            affinity_authors_max: 200,
            affinity_max: 200,
            viewed_hours: 24,
            spacing: Spacing::default(),
        }
    }
}

impl Config {
    /// What is wrong with the values, in words: key and mend.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let weights = [
            ("weight_freshness", self.weight_freshness),
            ("weight_engagement", self.weight_engagement),
            ("weight_affinity", self.weight_affinity),
            ("freshness_decay", self.freshness_decay),
        ];
        for (key, value) in weights {
            if !(0.0..=1000.0).contains(&value) {
                problems.push(format!("ranking.{key} is {value}; use a number from 0 to 1000"));
            }
        }
        let bounds = [
            ("followed_hours", u64::from(self.followed_hours), 336),
            ("affinity_days", u64::from(self.affinity_days), 14),
            ("viewed_hours", u64::from(self.viewed_hours), 24),
            ("followed_max", self.followed_max as u64, 5_000),
            ("trending_max", self.trending_max as u64, 1_000),
            ("affinity_max", self.affinity_max as u64, 2_000),
            ("affinity_authors_max", self.affinity_authors_max as u64, 2_000),
            ("spacing.first_places", self.spacing.first_places as u64, 1_000),
            ("spacing.gap", self.spacing.gap as u64, 1_000),
            ("spacing.window", self.spacing.window as u64, 1_000),
        ];
        for (key, value, max) in bounds {
            if value > max {
                problems.push(format!("ranking.{key} is {value}; use at most {max}"));
            }
        }
        if self.spacing.first_max == 0 || self.spacing.window_max == 0 {
            problems.push("ranking.spacing: first_max and window_max must be at least 1".to_owned());
        }
        if self.trending_refresh_ms < 100 {
            problems.push("ranking.trending_refresh_ms is below 100; use 100 or more".to_owned());
        }
        problems
    }

    /// A short name for these numbers: equal configurations have equal names, on every node.
    pub fn version(&self) -> String {
        use sha2::Digest;
        let text = serde_json::to_vec(self).unwrap_or_default();
        sha2::Sha256::digest(&text)[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// How far back followed authors' posts go.
    pub fn followed_ms(&self) -> i64 {
        i64::from(self.followed_hours) * HOUR_MS
    }

    /// How far back posts by authors of high affinity go.
    pub fn affinity_ms(&self) -> i64 {
        i64::from(self.affinity_days) * DAY_MS
    }

    /// How long a viewed post is left out.
    pub fn viewed_ms(&self) -> i64 {
        i64::from(self.viewed_hours) * HOUR_MS
    }
}
