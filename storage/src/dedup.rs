//! Which event ids a node remembers: a filter in memory in front of the `dedup` family.
//!
//! An id lies in the hour its partition's own record time stood at when it first came. It is looked for in all hours
//! that began at most `hours` and the running one ago, so it is remembered for at least that long, by every node alike.
//! Nearly every id is new; the filter says so without touching RocksDB.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use fastbloom::BloomFilter;
use hashbrown::DefaultHashBuilder;

use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family};
use crate::model::{HOUR_MS, Hour, TimestampMs, hour_of};

/// The share of new ids that one filter takes for known. There is a filter or two per partition and hour, and every
/// mistake costs a read.
const FALSE_POSITIVE: f64 = 1e-4;
/// Ids the first filter of a bucket is made for; each further one takes four times as many.
const FIRST_CAPACITY: usize = 1 << 14;

/// Where an id was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Never, as far as remembered.
    No,
    /// In this very partition: a repeat, to be marked.
    Here,
    /// Only in another partition: not counted here, but not this partition's repeat.
    Elsewhere,
}

/// The ids of one partition's hour, approximately.
#[derive(Debug)]
struct Bucket {
    filters: Vec<BloomFilter>,
    /// Room left in the last filter.
    room: usize,
}

impl Bucket {
    fn new() -> Self {
        Self { filters: Vec::new(), room: 0 }
    }

    fn insert(&mut self, hash: u64) {
        if self.room == 0 {
            let capacity = FIRST_CAPACITY << (2 * self.filters.len()).min(16);
            self.filters.push(BloomFilter::with_false_pos(FALSE_POSITIVE).expected_items(capacity));
            self.room = capacity;
        }
        if let Some(filter) = self.filters.last_mut() {
            filter.insert_hash(hash);
            self.room -= 1;
        }
    }

    fn may_hold(&self, hash: u64) -> bool {
        self.filters.iter().any(|filter| filter.contains_hash(hash))
    }
}

/// The memory of event ids.
#[derive(Debug)]
pub(crate) struct Dedup {
    hours: u32,
    hasher: DefaultHashBuilder,
    /// By partition and hour; filled from the store at the first event after a start.
    buckets: BTreeMap<(u32, Hour), Bucket>,
    loaded: bool,
    /// By partition, the hour below which everything is forgotten.
    expired: BTreeMap<u32, Hour>,
}

impl Dedup {
    pub(crate) fn new(hours: u32) -> Self {
        Self {
            hours: hours.max(1),
            hasher: DefaultHashBuilder::default(),
            buckets: BTreeMap::new(),
            loaded: false,
            expired: BTreeMap::new(),
        }
    }

    /// How long an id is remembered at least, in milliseconds of record time.
    pub(crate) fn horizon(&self) -> i64 {
        i64::from(self.hours) * HOUR_MS
    }

    /// The first hour that is still looked at when the partition's record time stands at `watermark`.
    pub(crate) fn first_hour(&self, watermark: TimestampMs) -> Hour {
        hour_of(watermark.saturating_sub(self.horizon()))
    }

    /// Reads what the store remembers of these partitions, once. `first_hour` tells each one's horizon; what lies before
    /// it is passed over, however much that is.
    pub(crate) fn load(
        &mut self,
        engine: &Engine,
        partitions: impl Iterator<Item = u32>,
        first_hour: impl Fn(u32) -> Option<Hour>,
    ) -> Result<()> {
        if self.loaded {
            return Ok(());
        }
        for partition in partitions {
            let Some(first) = first_hour(partition) else { continue };
            let (all, from) = (key::dedup_partition(partition), key::dedup_bucket(partition, first));
            engine.scan_from(Family::Dedup, &all, &from, |key, _| {
                if let Some((_, hour, id)) = key::split_dedup(key) {
                    self.remember(partition, hour, id);
                }
                Ok(true)
            })?;
        }
        self.loaded = true;
        Ok(())
    }

    fn hash(&self, id: u128) -> u64 {
        self.hasher.hash_one(id)
    }

    /// Notes an id that the running batch writes.
    pub(crate) fn remember(&mut self, partition: u32, hour: Hour, id: u128) {
        let hash = self.hash(id);
        self.buckets.entry((partition, hour)).or_insert_with(Bucket::new).insert(hash);
    }

    /// Whether the store remembers an id. Ids of the running batch are the caller's to know.
    pub(crate) fn seen(
        &self,
        engine: &Engine,
        partition: u32,
        id: u128,
        first_hour: impl Fn(u32) -> Option<Hour>,
    ) -> Result<Seen> {
        let hash = self.hash(id);
        let mut elsewhere = false;
        for (&(other, hour), bucket) in &self.buckets {
            if !bucket.may_hold(hash) || first_hour(other).is_none_or(|first| hour < first) {
                continue;
            }
            if engine.get(Family::Dedup, &key::dedup(other, hour, id))?.is_some() {
                if other == partition {
                    return Ok(Seen::Here);
                }
                elsewhere = true;
            }
        }
        Ok(if elsewhere { Seen::Elsewhere } else { Seen::No })
    }

    /// Forgets a partition's hours below `first`. Tells whether that is more than was forgotten before: then their keys
    /// can go too.
    pub(crate) fn expire(&mut self, partition: u32, first: Hour) -> bool {
        self.buckets.retain(|(other, hour), _| *other != partition || *hour >= first);
        self.expired.insert(partition, first) != Some(first)
    }
}
