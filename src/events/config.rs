//! The `[spool]` section.

use std::time::Duration;

use edgefeed_storage::SpoolBounds;
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, within};

/// The `[spool]` section: events that are posted while Kafka is away.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Events that may wait, at most.
    pub max_events: u64,
    /// Bytes that may wait, at most.
    pub max_bytes: u64,
    /// Once the oldest event has waited so long, in seconds, no more are taken; what waits goes on waiting.
    pub max_age_s: u64,
    /// From this share of any of the three on, impressions are refused (0 to 1).
    pub impressions_share: f64,
    /// How long Kafka's acknowledgement is waited for before an event is spooled, in milliseconds.
    pub ack_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_events: 200_000,
            max_bytes: 128 << 20,
            max_age_s: 86_400,
            impressions_share: 0.8,
            ack_timeout_ms: 1_000,
        }
    }
}

impl Config {
    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        within(problems, "spool.max_events", self.max_events, 100, 100_000_000);
        within(problems, "spool.max_bytes", self.max_bytes, 1 << 20, 1 << 40);
        // An event may be 90 days old; what it waits comes on top.
        within(problems, "spool.max_age_s", self.max_age_s, 60, 7 * 86_400);
        within(problems, "spool.impressions_share", self.impressions_share, 0.0, 1.0);
        // A request has to end within `limits.request_timeout_ms`.
        within(problems, "spool.ack_timeout_ms", self.ack_timeout_ms, 10, 3_000);
    }

    /// How long an event may wait until no more are taken, in milliseconds.
    pub fn max_age_ms(&self) -> i64 {
        i64::try_from(self.max_age_s).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    /// [`Config::ack_timeout_ms`] as a duration.
    pub fn ack_timeout(&self) -> Duration {
        Duration::from_millis(self.ack_timeout_ms)
    }

    /// The bounds, as the store takes them.
    pub fn bounds(&self) -> SpoolBounds {
        SpoolBounds {
            events: self.max_events,
            bytes: self.max_bytes,
            age_ms: self.max_age_ms(),
            impressions_share: self.impressions_share,
        }
    }
}
