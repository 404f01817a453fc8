//! Dead letters: kept whole, counted by reason, bounded in number and in bytes.

use std::collections::{BTreeSet, VecDeque};

use rocksdb::WriteBatch;

use super::{Pending, Writer};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{Record, Refusal};
use crate::value::DeadLetter;

/// Which dead letters there are, oldest first; after a start, in the order of their keys.
#[derive(Debug)]
pub(super) struct Cemetery {
    graves: VecDeque<(Key, u64)>,
    bytes: u64,
    most: u64,
    most_bytes: u64,
}

impl Cemetery {
    pub(super) fn load(engine: &Engine, config: &Config) -> Result<Self> {
        let mut all = Self {
            graves: VecDeque::new(),
            bytes: 0,
            most: config.dead_letters_max.max(1),
            most_bytes: config.dead_letters_max_bytes.max(1),
        };
        engine.scan_all(Family::DeadLetters, &[], |key, value| {
            if let Some((at, Some(offset))) = key::split_record(key) {
                all.dig(key::record(at, offset), value.len());
            }
            Ok(true)
        })?;
        Ok(all)
    }

    fn dig(&mut self, key: Key, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.graves.push_back((key, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Forgets some; gives back how many of them there were.
    fn fill(&mut self, keys: &BTreeSet<&Key>) -> u64 {
        let before = self.graves.len();
        let mut freed = 0_u64;
        self.graves.retain(|(key, bytes)| {
            let stays = !keys.contains(key);
            freed = freed.saturating_add(if stays { 0 } else { *bytes });
            stays
        });
        self.bytes = self.bytes.saturating_sub(freed);
        u64::try_from(before - self.graves.len()).unwrap_or(u64::MAX)
    }

    /// The oldest, while there are too many. The newest always stays.
    fn surplus(&mut self) -> Option<Key> {
        let count = u64::try_from(self.graves.len()).unwrap_or(u64::MAX);
        if count <= 1 || (count <= self.most && self.bytes <= self.most_bytes) {
            return None;
        }
        let (key, bytes) = self.graves.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(key)
    }
}

impl Writer {
    /// Drops dead letters, as one write; gives back how many of them there were.
    pub(crate) fn unbury(&mut self, engine: &Engine, keys: &[Key]) -> Result<u64> {
        let mut batch = WriteBatch::default();
        let family = engine.cf(Family::DeadLetters)?;
        for key in keys {
            batch.delete_cf(family, key);
        }
        engine.write(batch)?;
        Ok(self.dead.fill(&keys.iter().collect()))
    }

    pub(super) fn bury(
        &mut self,
        record: &Record,
        refusal: &Refusal,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        pending: &mut Pending,
    ) {
        let letter = DeadLetter {
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            time: record.time,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
        };
        *pending.applied.dead.entry((record.at.topic, refusal.reason)).or_default() += 1;
        let grave = key::record(record.at, record.offset);
        let bytes = letter.detail.len() + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + 64;
        pending.dead.push((grave, letter));
        self.dead.dig(grave, bytes);
        while let Some(oldest) = self.dead.surplus() {
            pending.dead_dropped.push(oldest);
        }
    }
}
