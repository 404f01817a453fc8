//! The pins of all readers, bounded in bytes, in time, and for each reader in number.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::{Id, TimestampMs};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::asked;
use super::config::Config;
use super::pin::Pin;

/// Pins by reader: a reader's are dropped together, and nobody else's with them.
#[derive(Debug)]
pub struct Pins {
    readers: Cache<Id, Arc<[Arc<Pin>]>>,
    ttl_ms: i64,
    per_reader: usize,
}

impl Pins {
    /// Pins within these bounds.
    pub fn new(config: &Config) -> Self {
        let weigh = |_: &Id, pins: &Arc<[Arc<Pin>]>| {
            let bytes: usize = pins.iter().map(|pin| pin.bytes()).sum();
            u32::try_from(bytes + 64).unwrap_or(u32::MAX)
        };
        let readers = Cache::builder()
            .weigher(weigh)
            .max_capacity(config.pins_bytes)
            .time_to_live(Duration::from_secs(config.pin_ttl_s))
            // Whoever pages now is the one to keep; how often somebody came before says nothing.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let ttl_ms = i64::try_from(config.pin_ttl_s).unwrap_or(i64::MAX).saturating_mul(1_000);
        Self { readers, ttl_ms, per_reader: config.pins_per_reader }
    }

    /// A reader's pin, if it is still here.
    pub fn get(&self, reader: Id, pin: u64, now_ms: TimestampMs) -> Option<Arc<Pin>> {
        let pins = self.readers.get(&reader);
        let found = pins.and_then(|pins| pins.iter().find(|kept| kept.id == pin && self.lives(kept, now_ms)).cloned());
        asked("pins", if found.is_some() { "hit" } else { "miss" });
        found
    }

    /// Keeps a pin of a reader; the oldest of theirs makes room where they have too many.
    pub fn put(&self, reader: Id, pin: Arc<Pin>) {
        if self.readers.policy().max_capacity() == Some(0) {
            return;
        }
        let now_ms = pin.making.ranked_at;
        self.readers.entry(reader).and_upsert_with(|kept| {
            let kept = kept.map(moka::Entry::into_value);
            let alive = kept.iter().flat_map(|pins| pins.iter()).filter(|pin| self.lives(pin, now_ms));
            let mut pins: Vec<Arc<Pin>> = alive.cloned().collect();
            pins.drain(..(pins.len() + 1).saturating_sub(self.per_reader));
            pins.push(pin);
            pins.into()
        });
    }

    /// Drops all pins of a reader. Tells how many there were.
    pub fn forget(&self, reader: Id, now_ms: TimestampMs) -> usize {
        let pins = self.readers.remove(&reader);
        let dropped = pins.map_or(0, |pins| pins.iter().filter(|pin| self.lives(pin, now_ms)).count());
        metrics::counter!("edgefeed_cache_invalidations_total").increment(dropped as u64);
        dropped
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.readers.weighted_size()
    }

    fn lives(&self, pin: &Pin, now_ms: TimestampMs) -> bool {
        now_ms.saturating_sub(pin.making.ranked_at) < self.ttl_ms
    }
}
