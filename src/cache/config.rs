//! The `[cache]` section.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, within};

/// The `[cache]` section: what a node remembers of its readers between requests. None of it outlives the process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Memory for pinned rankings, in bytes.
    pub pins_bytes: u64,
    /// How long a ranking stays pinned, in seconds.
    pub pin_ttl_s: u64,
    /// Rankings of one reader that are pinned at a time.
    pub pins_per_reader: usize,
    /// Memory for what readers were served lately, in bytes.
    pub served_bytes: u64,
    /// For how long `refresh=1` puts what was served after all others, in seconds.
    pub served_ttl_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { pins_bytes: 64 << 20, pin_ttl_s: 600, pins_per_reader: 8, served_bytes: 16 << 20, served_ttl_s: 1_800 }
    }
}

impl Config {
    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        within(problems, "cache.pins_bytes", self.pins_bytes, 0, 1 << 40);
        within(problems, "cache.pin_ttl_s", self.pin_ttl_s, 1, 86_400);
        within(problems, "cache.pins_per_reader", self.pins_per_reader, 1, 100);
        within(problems, "cache.served_bytes", self.served_bytes, 0, 1 << 40);
        within(problems, "cache.served_ttl_s", self.served_ttl_s, 1, 86_400);
    }
}
