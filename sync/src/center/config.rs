//! What an operator can set about the center: the `[clickhouse]` section.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::redacted_plain;

/// The `[clickhouse]` section: the center, and how long this node waits for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where ClickHouse answers HTTP: `http://host:8123` or `https://…`. Empty: this node has no center.
    pub url: String,
    /// The database that holds edgefeed's tables.
    pub database: String,
    /// The user to log in as.
    pub user: String,
    /// The user's password; empty: none.
    #[serde(serialize_with = "redacted_plain")]
    pub password: SecretString,
    /// The ClickHouse cluster whose tables are replicated (`migrate --cluster`); inserts then ask for a quorum. Empty:
    /// one server.
    pub cluster: String,
    /// How long one insert of the sink may take, in milliseconds.
    pub insert_timeout_ms: u64,
    /// How long one query of a background job may take, in milliseconds.
    pub query_timeout_ms: u64,
    /// What a request may spend on waiting for a reader's history, in milliseconds.
    pub affinity_budget_ms: u64,
    /// How many histories may be asked for at once.
    pub affinity_concurrency: usize,
    /// After how long a history is asked for anew, in seconds.
    pub affinity_refresh_s: u64,
    /// For how many readers lately seen this node remembers how old their history is.
    pub affinity_users_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            database: "edgefeed".to_owned(),
            user: "default".to_owned(),
            password: SecretString::default(),
            cluster: String::new(),
            insert_timeout_ms: 20_000,
            query_timeout_ms: 5_000,
            affinity_budget_ms: 50,
            affinity_concurrency: 16,
            affinity_refresh_s: 21_600,
            affinity_users_max: 100_000,
        }
    }
}

impl Config {
    /// Whether there is a center.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
    }

    /// What is wrong with these settings, each with its key and the mend; empty when nothing is.
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let address = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        if self.is_set() && address.is_none_or(|rest| rest.is_empty() || rest.contains(['@', ' ', '?'])) {
            problems.push(
                "clickhouse.url: is not http://host:port or https://host:port; give user and password in keys of their own"
                    .to_owned(),
            );
        }
        for (key, name) in [("database", &self.database), ("cluster", &self.cluster)] {
            if !is_plain(name) && (key == "database" || !name.is_empty()) {
                problems.push(format!("clickhouse.{key}: {name:?} is not a plain name; use letters, digits, _ and -"));
            }
        }
        if self.user.is_empty() && !self.password.expose_secret().is_empty() {
            problems.push("clickhouse.user: is empty though a password is set; name the user".to_owned());
        }
        for (key, value, least, most) in [
            ("insert_timeout_ms", self.insert_timeout_ms, 100, 600_000),
            ("query_timeout_ms", self.query_timeout_ms, 100, 600_000),
            ("affinity_budget_ms", self.affinity_budget_ms, 1, 1_000),
            ("affinity_concurrency", self.affinity_concurrency as u64, 1, 1_000),
            ("affinity_refresh_s", self.affinity_refresh_s, 1, 604_800),
            ("affinity_users_max", self.affinity_users_max, 1, 100_000_000),
        ] {
            if !(least..=most).contains(&value) {
                problems.push(format!("clickhouse.{key}: {value} is not within {least} and {most}"));
            }
        }
        problems
    }
}

/// Names that may stand in a statement in backquotes.
pub(super) fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
