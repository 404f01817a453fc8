//! The `[postgres]` and `[fallback]` sections.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, within};
use crate::secret::redacted;

/// The `[postgres]` section: the application's own database, as the fallback reads it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// `postgres://user:password@host:port/database?sslmode=…`. Empty: there is no fallback.
    #[serde(serialize_with = "redacted")]
    pub url: SecretString,
    /// Connections held at most.
    pub pool_max: u32,
    /// How long a request waits for a connection, in milliseconds; a new one is made in that time too.
    pub acquire_timeout_ms: u64,
    /// How long one query may run, in milliseconds.
    pub statement_timeout_ms: u64,
    /// From how long on a query counts as slow, in milliseconds.
    pub slow_ms: u64,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            url: SecretString::default(),
            pool_max: 8,
            acquire_timeout_ms: 150,
            statement_timeout_ms: 250,
            slow_ms: 200,
        }
    }
}

impl Postgres {
    /// Whether there is a database to fall back to.
    pub fn is_set(&self) -> bool {
        !self.url.expose_secret().is_empty()
    }
}

/// When PostgreSQL answers in place of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The store answers while it is usable and not too old.
    #[default]
    LocalFirst,
    /// PostgreSQL answers as soon as the breaker around ClickHouse is open.
    Strict,
}

/// The `[fallback]` section: the ladder.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which rung comes first: `local-first` or `strict`.
    pub policy: Policy,
    /// A store older than this, in seconds, is used only when PostgreSQL cannot answer.
    pub max_store_age_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { policy: Policy::LocalFirst, max_store_age_s: 3_600 }
    }
}

impl Config {
    /// Notes what cannot stand.
    pub fn check(&self, postgres: &Postgres, problems: &mut Vec<Problem>) {
        let url = postgres.url.expose_secret();
        if postgres.is_set() && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            problems.push(Problem::new(
                "postgres.url",
                "is not a PostgreSQL address",
                "write postgres://user:password@host:port/database",
            ));
        } else if postgres.is_set() {
            problems.extend(super::postgres::options(postgres).err());
        }
        within(problems, "postgres.pool_max", postgres.pool_max, 1, 1_000);
        within(problems, "postgres.acquire_timeout_ms", postgres.acquire_timeout_ms, 1, 10_000);
        within(problems, "postgres.statement_timeout_ms", postgres.statement_timeout_ms, 1, 60_000);
        within(problems, "postgres.slow_ms", postgres.slow_ms, 1, 60_000);
        within(problems, "fallback.max_store_age_s", self.max_store_age_s, 1, 31_536_000);
    }
}
