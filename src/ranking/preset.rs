//! Other ways to rank, each a few numbers put over those of `[ranking]`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Config;

/// What a reader may choose by `preset=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// The numbers of `[ranking]` as they are: by default the product's definition of the feed.
    #[default]
    Balanced,
    /// Freshness rules.
    Latest,
    /// People the reader follows and deals with; nothing for being popular.
    Friends,
    /// What a reader who was away for days missed.
    CatchUp,
    /// Room for those who seldom write.
    QuietVoices,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] = [Self::Balanced, Self::Latest, Self::Friends, Self::CatchUp, Self::QuietVoices];

    /// The name in requests, in the configuration and in versions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Latest => "latest",
            Self::Friends => "friends",
            Self::CatchUp => "catch_up",
            Self::QuietVoices => "quiet_voices",
        }
    }

    /// The preset of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its code on disk and in cursors; codes never change.
    pub const fn code(self) -> u8 {
        match self {
            Self::Balanced => 0,
            Self::Latest => 1,
            Self::Friends => 2,
            Self::CatchUp => 3,
            Self::QuietVoices => 4,
        }
    }

    /// The preset of a code.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.code() == code)
    }

    /// Its numbers, where they differ from those of `[ranking]`. docs/ranking.md says why each is what it is.
    pub(super) fn overrides(self) -> Overrides {
        let numbers = match self {
            Self::Balanced => json!({}),
            Self::Latest => json!({
                "weight_freshness": 1.0, "weight_engagement": 0.05, "weight_affinity": 0.05,
                "trending_max": 50,
            }),
            Self::Friends => json!({
                "weight_freshness": 0.40, "weight_engagement": 0.10, "weight_affinity": 0.50,
                "trending_max": 0,
            }),
            Self::CatchUp => json!({
                "weight_freshness": 0.10, "weight_engagement": 0.50, "weight_affinity": 0.40,
                "freshness_decay": 0.02,
                "followed_hours": 168, "followed_max": 1_000,
            }),
            Self::QuietVoices => json!({
                "weight_freshness": 0.50, "weight_engagement": 0.20, "weight_affinity": 0.30,
                "freshness_decay": 0.02,
                "followed_hours": 168, "trending_max": 50, "author_max": 2,
                "spacing": { "first_places": 20, "gap": 20, "window": 100, "window_max": 1 },
            }),
        };
        match numbers {
            Value::Object(numbers) => Overrides(numbers),
            _ => Overrides::default(),
        }
    }
}

/// Some numbers of the ranking, by key, put over others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(Map<String, Value>);

impl Overrides {
    /// Puts these numbers over a whole set.
    ///
    /// # Errors
    /// A line for each key that is none of the set's, or has no number; `at` is where the overrides stand.
    pub(super) fn over(&self, base: &Config, at: &str) -> Result<Config, Vec<String>> {
        let mut numbers = base.numbers();
        let mut problems = Vec::new();
        put(&mut numbers, &self.0, at, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let read: Result<Config, _> = serde_json::from_value(Value::Object(numbers));
        let set = read.map_err(|error| vec![format!("{at}: {error}; give numbers like those of [ranking]")])?;
        let Config { trending_refresh_ms, recent_requests, .. } = *base;
        Ok(Config { trending_refresh_ms, recent_requests, ..set })
    }
}

fn put(numbers: &mut Map<String, Value>, over: &Map<String, Value>, at: &str, problems: &mut Vec<String>) {
    for (key, value) in over {
        match (numbers.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(over)) => put(inner, over, &format!("{at}.{key}"), problems),
            (Some(held @ Value::Number(_)), Value::Number(_)) => *held = value.clone(),
            (Some(_), _) => problems.push(format!("{at}.{key} is not a number; give one like [ranking] has")),
            (None, _) => {
                problems.push(format!("{at}.{key} is no number of the ranking; see [ranking] for those there are"));
            }
        }
    }
}
