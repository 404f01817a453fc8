//! What an operator can set about rebuilding from the center: the `[resync]` section.

use serde::{Deserialize, Serialize};

/// Whose histories the node renews by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refresh {
    /// Nobody's.
    Off,
    /// Those of readers this node has history of.
    Active,
}

/// The `[resync]` section: rebuilding and refreshing this node from the center.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether a node that Kafka's log no longer reaches makes itself a new store, from a backup or from the center. It says
    /// GAP either way.
    pub auto: bool,
    /// Rows read from the center a second, at most; 0: no bound.
    pub max_rows_per_s: u64,
    /// Rows of one query, about. A rebuild that was stopped goes on behind the last query that was done.
    pub shard_rows: u64,
    /// How many queries may be under way at once.
    pub concurrency: usize,
    /// How long one query may take, in milliseconds.
    pub query_timeout_ms: u64,
    /// How long a center that does not answer is waited for, in seconds, before the job is given up until somebody orders it anew.
    pub patience_s: u64,
    /// Whose histories are replaced by the center's once a day of arrival is over: "active" or "off".
    pub refresh: Refresh,
    /// How long after midnight UTC a day is taken for over, in seconds.
    pub refresh_grace_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auto: true,
            max_rows_per_s: 0,
            shard_rows: 500_000,
            concurrency: 2,
            query_timeout_ms: 120_000,
            patience_s: 600,
            refresh: Refresh::Active,
            refresh_grace_s: 7_200,
        }
    }
}

impl Config {
    /// What is wrong with these settings, each with its key and the mend; empty when nothing is.
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value, least, most) in [
            ("shard_rows", self.shard_rows, 100, 100_000_000),
            ("concurrency", self.concurrency as u64, 1, 16),
            ("query_timeout_ms", self.query_timeout_ms, 100, 3_600_000),
            ("patience_s", self.patience_s, 1, 604_800),
            ("refresh_grace_s", self.refresh_grace_s, 0, 86_400),
        ] {
            if !(least..=most).contains(&value) {
                problems
                    .push(format!("resync.{key}: {value} is not within {least} and {most}; set a value in that range"));
            }
        }
        problems
    }
}
