//! The `[breaker]` section.

use serde::{Deserialize, Serialize};

/// The `[breaker]` section: one set of numbers for every dependency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The calls looked at: the last so many.
    pub window_calls: usize,
    /// Of those, only the ones of the last so many milliseconds.
    pub window_ms: u64,
    /// With fewer calls than this in the window nothing is concluded.
    pub min_calls: usize,
    /// It opens when this share of them failed (0 to 1).
    pub failure_rate: f64,
    /// It opens when this share of them failed or was slow (0 to 1).
    pub slow_rate: f64,
    /// How long it stays open before it lets probes through, in milliseconds.
    pub open_ms: u64,
    /// Probes in flight at once while half-open, at most 5.
    pub probes_max: usize,
    /// How many probes must succeed, none failing in between, for it to close.
    pub probes_needed: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_calls: 20,
            window_ms: 60_000,
            min_calls: 5,
            failure_rate: 0.5,
            slow_rate: 0.8,
            open_ms: 2_000,
            probes_max: 3,
            probes_needed: 3,
        }
    }
}
