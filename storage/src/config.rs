//! What an operator can set about the store: the `[storage]` section.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `[storage]` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The directory of state. Created with mode 0700 when absent.
    pub dir: PathBuf,
    /// Memory for block cache, write buffers and the hot projection together, in bytes.
    pub memory_budget_bytes: usize,
    /// How often the write-ahead log is synced to disk, in milliseconds. Bounds what a power cut makes the node
    /// read again from Kafka; never correctness.
    pub wal_sync_ms: u64,
    /// How long deleted rows are remembered, in days. At least 14, and longer than Kafka keeps CDC records.
    pub tombstone_days: u16,
    /// How many dead letters are kept; past it the oldest go.
    pub dead_letters_max: u64,
    /// How many bytes of dead letters are kept; past it the oldest go.
    pub dead_letters_max_bytes: u64,
    /// How long event ids are remembered, in hours of each partition's own record time. At least 1.
    pub dedup_hours: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("edgefeed-data"),
            memory_budget_bytes: 768 << 20,
            wal_sync_ms: 250,
            tombstone_days: 14,
            dead_letters_max: 100_000,
            dead_letters_max_bytes: 256 << 20,
            dedup_hours: 1,
        }
    }
}
