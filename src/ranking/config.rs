//! Every number of the ranking: the `[ranking]` section, and the sets made from it.

use std::collections::BTreeMap;

use edgefeed_storage::model::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Experiment, Overrides, Preset};

/// The `[ranking]` section, and one set of numbers, which then has neither presets nor an experiment. Each number's
/// default is the product's definition of the feed.
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
    /// What engagement is made of.
    pub engagement: Engagement,
    /// What affinity is made of.
    pub affinity: Affinity,
    /// Of one author's posts at most so many, the newest, from each source but trending; 0: all.
    pub author_max: usize,
    /// Followed authors' posts: how far back, in hours.
    pub followed_hours: u32,
    /// Followed authors' posts: how many, newest first.
    pub followed_max: usize,
    /// Trending posts: how many.
    pub trending_max: usize,
    /// How often the trending posts are found anew, in milliseconds.
    pub trending_refresh_ms: u64,
    /// How many requests are remembered for trying other numbers on them; 0: none.
    pub recent_requests: usize,
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
    /// Numbers put over those of a preset, by its name.
    pub presets: BTreeMap<String, Overrides>,
    /// Other numbers for a share of the users.
    pub experiment: Experiment,
}

/// Engagement is ln(1 + (likes + comments + shares, each times its worth) / max(impressions, 1)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engagement {
    /// Hourly buckets looked at, the running one included.
    pub hours: u32,
    /// What a like is worth.
    pub likes: f64,
    /// What a comment is worth.
    pub comments: f64,
    /// What a share is worth.
    pub shares: f64,
}

/// Affinity is ln(1 + the sum of views, likes, comments and shares of 90 days, each times its worth).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Affinity {
    /// What a view is worth.
    pub views: u32,
    /// What a like is worth.
    pub likes: u32,
    /// What a comment is worth.
    pub comments: u32,
    /// What a share is worth.
    pub shares: u32,
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

impl Default for Engagement {
    fn default() -> Self {
        Self { hours: 24, likes: 1.0, comments: 2.0, shares: 3.0 }
    }
}

impl Default for Affinity {
    fn default() -> Self {
        Self { views: 1, likes: 5, comments: 10, shares: 15 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            weight_freshness: 0.30,
            weight_engagement: 0.40,
            weight_affinity: 0.30,
            freshness_decay: 0.1,
            engagement: Engagement::default(),
            affinity: Affinity::default(),
            author_max: 0,
            followed_hours: 72,
            followed_max: 500,
            trending_max: 200,
            trending_refresh_ms: 1_000,
            recent_requests: 10_000,
            affinity_days: 14,
            affinity_authors_max: 200,
            affinity_max: 200,
            viewed_hours: 24,
            spacing: Spacing::default(),
            presets: BTreeMap::new(),
            experiment: Experiment::default(),
        }
    }
}

impl Config {
    /// What is wrong with the values, in words: key and mend.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.out_of_bounds("ranking");
        if self.trending_refresh_ms < 100 {
            problems.push("ranking.trending_refresh_ms is below 100; use 100 or more".to_owned());
        }
        if self.recent_requests > 100_000 {
            problems.push(format!("ranking.recent_requests is {}; use at most 100000", self.recent_requests));
        }
        for (name, numbers) in &self.presets {
            let at = format!("ranking.presets.{name}");
            match Preset::of(name) {
                None => problems.push(format!("{at} is no preset; use latest, friends, catch_up or quiet_voices")),
                Some(Preset::Balanced) => {
                    problems.push(format!("{at} is [ranking] itself; set its numbers there"));
                }
                Some(preset) => problems.extend(self.worse(self.preset_over(preset, numbers), &at)),
            }
        }
        problems.extend(self.experiment.problems());
        let at = "ranking.experiment.numbers";
        problems.extend(self.worse(self.experiment.numbers.over(self, at), at));
        problems
    }

    /// The numbers that lie outside of what an operator may set; `at` is where the set stands.
    fn out_of_bounds(&self, at: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let weights = [
            ("weight_freshness", self.weight_freshness),
            ("weight_engagement", self.weight_engagement),
            ("weight_affinity", self.weight_affinity),
            ("freshness_decay", self.freshness_decay),
            ("engagement.likes", self.engagement.likes),
            ("engagement.comments", self.engagement.comments),
            ("engagement.shares", self.engagement.shares),
        ];
        for (key, value) in weights {
            if !(0.0..=1000.0).contains(&value) {
                problems.push(format!("{at}.{key} is {value}; use a number from 0 to 1000"));
            }
        }
        for (key, value, max) in self.bounds() {
            if value > max {
                problems.push(format!("{at}.{key} is {value}; use at most {max}"));
            }
        }
        if self.engagement.hours == 0 {
            problems.push(format!("{at}.engagement.hours is 0; use at least 1"));
        }
        if self.spacing.first_max == 0 || self.spacing.window_max == 0 {
            problems.push(format!("{at}.spacing: first_max and window_max must be at least 1"));
        }
        problems
    }

    /// Whole numbers with the most they may be.
    fn bounds(&self) -> [(&'static str, u64, u64); 16] {
        [
            ("engagement.hours", u64::from(self.engagement.hours), 168),
            ("affinity.views", u64::from(self.affinity.views), 1_000),
            ("affinity.likes", u64::from(self.affinity.likes), 1_000),
            ("affinity.comments", u64::from(self.affinity.comments), 1_000),
            ("affinity.shares", u64::from(self.affinity.shares), 1_000),
            ("author_max", self.author_max as u64, 2_000),
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
        ]
    }

    /// What is wrong with a set made from this one and not with this one.
    fn worse(&self, set: Result<Self, Vec<String>>, at: &str) -> Vec<String> {
        let set = match set {
            Ok(set) => set,
            Err(problems) => return problems,
        };
        let known = self.out_of_bounds(at);
        set.out_of_bounds(at).into_iter().filter(|problem| !known.contains(problem)).collect()
    }

    /// The set of a preset: the numbers here, over them the preset's own, over them the operator's.
    ///
    /// # Errors
    /// What [`Config::problems`] says of it.
    pub fn preset(&self, preset: Preset) -> Result<Self, Vec<String>> {
        let given = self.presets.get(preset.name()).cloned().unwrap_or_default();
        self.preset_over(preset, &given)
    }

    fn preset_over(&self, preset: Preset, given: &Overrides) -> Result<Self, Vec<String>> {
        let at = format!("ranking.presets.{}", preset.name());
        given.over(&preset.overrides().over(self, &at)?, &at)
    }

    /// The set of the experiment.
    ///
    /// # Errors
    /// What [`Config::problems`] says of it.
    pub fn experimental(&self) -> Result<Self, Vec<String>> {
        self.experiment.numbers.over(self, "ranking.experiment.numbers")
    }

    /// The numbers that a ranking depends on, and nothing else, as they are written.
    pub(super) fn numbers(&self) -> Map<String, Value> {
        let mut numbers = match serde_json::to_value(self) {
            Ok(Value::Object(numbers)) => numbers,
            _ => Map::new(),
        };
        for other in ["trending_refresh_ms", "recent_requests", "presets", "experiment"] {
            numbers.remove(other);
        }
        numbers
    }

    /// A short name for these numbers: equal ones have equal names, on every node.
    pub fn version(&self) -> String {
        use sha2::Digest;
        let text = Value::Object(self.numbers()).to_string();
        sha2::Sha256::digest(text.as_bytes())[..6].iter().map(|byte| format!("{byte:02x}")).collect()
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
