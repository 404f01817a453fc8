//! How much the store holds, for metrics and `/status`.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::key::Family;
use crate::store::Store;

/// Sizes in bytes and numbers of entries, by RocksDB's estimate.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Bytes on disk by column family.
    pub disk_bytes: BTreeMap<&'static str, u64>,
    /// Entries by column family.
    pub entries: BTreeMap<&'static str, u64>,
    /// Bytes of block cache in use, write buffers included.
    pub cache_bytes: u64,
    /// Bytes of the hot projection.
    pub hot_bytes: u64,
    /// Posts in the hot projection.
    pub hot_posts: u64,
    /// Bytes of readers' facts.
    pub viewer_bytes: u64,
}

impl Store {
    /// Measures the store; costs microseconds.
    pub fn stats(&self) -> Result<Stats> {
        let mut disk_bytes = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for family in Family::ALL {
            disk_bytes.insert(family.name(), self.engine.property(family, "rocksdb.total-sst-files-size")?);
            entries.insert(family.name(), self.engine.property(family, "rocksdb.estimate-num-keys")?);
        }
        let hot = self.hot.read();
        Ok(Stats {
            disk_bytes,
            entries,
            cache_bytes: self.engine.property(Family::Meta, "rocksdb.block-cache-usage")?,
            hot_bytes: u64::try_from(hot.bytes()).unwrap_or(u64::MAX),
            hot_posts: u64::try_from(hot.post_count()).unwrap_or(u64::MAX),
            viewer_bytes: self.viewers.bytes(),
        })
    }
}
