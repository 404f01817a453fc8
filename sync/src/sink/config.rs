//! What an operator can set about the sink: the `[sink]` section.

use serde::{Deserialize, Serialize};

/// The `[sink]` section: this node's share of writing to the center (role `sink`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The consumer group that all nodes of a cluster share. Its committed offsets say what the center holds.
    pub group: String,
    /// Rows of one insert, at most.
    pub flush_rows: usize,
    /// Bytes of one insert, at most.
    pub flush_bytes: usize,
    /// How long rows are gathered for one insert, in milliseconds.
    pub flush_ms: u64,
    /// How long at most, once ClickHouse asks for fewer and larger inserts, in milliseconds.
    pub flush_max_ms: u64,
    /// What may be held of rows not yet acknowledged, all partitions together, in bytes.
    pub memory_bytes: usize,
    /// After how long without a sign of life a node's partitions go to others, in milliseconds. The brokers'
    /// `group.min.session.timeout.ms` bounds it below.
    pub session_timeout_ms: u64,
    /// The smallest deduplication window accepted on a table, in inserts.
    pub dedup_window_min: u64,
    /// What stands in front of a topic's name to make the name of its dead-letter topic.
    pub dead_letter_prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "edgefeed-sink".to_owned(),
            flush_rows: 50_000,
            flush_bytes: 16 << 20,
            flush_ms: 1_000,
            flush_max_ms: 30_000,
            memory_bytes: 256 << 20,
            session_timeout_ms: 10_000,
            dedup_window_min: 10_000,
            dead_letter_prefix: "dlq.".to_owned(),
        }
    }
}

impl Config {
    /// What is wrong with these settings, each with its key and the mend; empty when nothing is.
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let legal = |name: &str| {
            (1..=200).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        for (key, name) in [("group", &self.group), ("dead_letter_prefix", &self.dead_letter_prefix)] {
            if !legal(name) {
                problems.push(format!("sink.{key}: {name:?} is no legal name; use letters, digits, ., _ and -"));
            }
        }
        for (key, value, least, most) in [
            ("flush_rows", self.flush_rows as u64, 1, 500_000),
            ("flush_bytes", self.flush_bytes as u64, 1_024, 256 << 20),
            ("flush_ms", self.flush_ms, 10, 600_000),
            ("flush_max_ms", self.flush_max_ms, self.flush_ms, 600_000),
            ("memory_bytes", self.memory_bytes as u64, 8 << 20, 64 << 30),
            ("session_timeout_ms", self.session_timeout_ms, 1_000, 300_000),
            ("dedup_window_min", self.dedup_window_min, 100, 10_000_000),
        ] {
            if !(least..=most).contains(&value) {
                problems.push(format!("sink.{key}: {value} is not within {least} and {most}"));
            }
        }
        problems
    }
}
