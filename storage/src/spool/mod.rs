//! Events accepted while Kafka was away: kept in families of their own, in the order they came, until their records come
//! back from Kafka.
//!
//! They are an overlay. Readers add them to what was applied; they touch neither counters nor remembered ids, so that the
//! record that comes back is applied like any other, and the entry here goes in the same write. What is in memory is an
//! index of the families, as bounded as they are.

mod bounds;
mod overlay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family};
use crate::model::{Counters, Event, Id, TimestampMs, Topic, TopicPartition, hour_of};
use crate::value::{self, SpoolRow};

pub use bounds::SpoolBounds;
pub(crate) use overlay::Overlay;

/// What became of an event that was to be spooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spooled {
    /// It is kept, under this sequence number.
    Kept(u64),
    /// It is in the spool already, or was applied from Kafka: there is nothing to do.
    Known,
    /// There is no room for it, and it is not kept.
    Full,
}

/// How much is spooled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolState {
    /// Events whose records have not come back from Kafka.
    pub events: u64,
    /// Of them, those that Kafka has acknowledged.
    pub sent: u64,
    /// Their bytes on disk, by estimate.
    pub bytes: u64,
    /// When the oldest of them was accepted.
    pub oldest_at: Option<TimestampMs>,
    /// The sequence number the next one gets.
    pub next: u64,
}

/// A spooled event, to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolItem {
    /// Its sequence number.
    pub sequence: u64,
    /// Whose event it is: the key of its record.
    pub user: Id,
    /// The value of its record.
    pub value: Vec<u8>,
}

/// One entry, as far as it is kept in memory.
#[derive(Debug)]
struct Held {
    event: Event,
    at: TimestampMs,
    bytes: u64,
    /// Where Kafka has put its record, once that is known.
    sent: Option<(TopicPartition, i64)>,
}

/// The index of what is spooled.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    held: BTreeMap<u64, Held>,
    by_id: HashMap<(Id, u128), u64>,
    by_place: HashMap<(TopicPartition, i64), u64>,
    overlay: Overlay,
    bytes: u64,
    next: u64,
}

impl Spool {
    pub(crate) fn load(engine: &Engine) -> Result<Self> {
        let mut spool = Self::default();
        engine.scan_all(Family::Spool, &[], |key, bytes| {
            if let Some(sequence) = key::split_spool(key) {
                let row: SpoolRow = value::decode(Family::Spool, bytes)?;
                spool.put(sequence, row.event, row.at, row.value.len());
                if let Some((partition, offset)) = row.sent {
                    spool.sent(sequence, TopicPartition { topic: Topic::Events, partition }, offset);
                }
            }
            Ok(true)
        })?;
        Ok(spool)
    }

    /// Takes an entry into the index.
    pub(crate) fn put(&mut self, sequence: u64, event: Event, at: TimestampMs, value_bytes: usize) {
        let bytes = bounds::entry_bytes(value_bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        self.next = self.next.max(sequence.saturating_add(1));
        self.overlay.add(event.post, hour_of(event.event_time), &Counters::of(&event));
        self.by_id.insert((event.user, event.event_id), sequence);
        self.held.insert(sequence, Held { event, at, bytes, sent: None });
    }

    /// Takes entries out of the index.
    pub(crate) fn remove(&mut self, sequences: impl Iterator<Item = u64>) {
        for sequence in sequences {
            let Some(held) = self.held.remove(&sequence) else { continue };
            let event = &held.event;
            self.bytes = self.bytes.saturating_sub(held.bytes);
            self.overlay.take(event.post, hour_of(event.event_time), &Counters::of(event));
            self.by_id.remove(&(event.user, event.event_id));
            if let Some(place) = held.sent {
                self.by_place.remove(&place);
            }
        }
    }

    /// The entry of an event. A stranger's event under the same id is another one.
    pub(crate) fn find(&self, user: Id, event_id: u128) -> Option<(u64, &Event)> {
        let sequence = *self.by_id.get(&(user, event_id))?;
        Some((sequence, &self.held.get(&sequence)?.event))
    }

    /// The entry whose record stands there.
    pub(crate) fn at(&self, at: TopicPartition, offset: i64) -> Option<(u64, &Event)> {
        let sequence = *self.by_place.get(&(at, offset))?;
        Some((sequence, &self.held.get(&sequence)?.event))
    }

    /// Notes where Kafka has put an entry's record.
    pub(crate) fn sent(&mut self, sequence: u64, at: TopicPartition, offset: i64) {
        if let Some(held) = self.held.get_mut(&sequence) {
            held.sent = Some((at, offset));
            self.by_place.insert((at, offset), sequence);
        }
    }

    /// The event of an entry.
    pub(crate) fn event(&self, sequence: u64) -> Option<&Event> {
        Some(&self.held.get(&sequence)?.event)
    }

    /// Every entry's event.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, &Event)> {
        self.held.iter().map(|(sequence, held)| (*sequence, &held.event))
    }

    /// The first entries from `from` to below `until` that Kafka has not acknowledged.
    pub(crate) fn unsent(&self, from: u64, until: u64) -> impl Iterator<Item = u64> {
        self.held.range(from..until.max(from)).filter(|(_, held)| held.sent.is_none()).map(|(sequence, _)| *sequence)
    }

    pub(crate) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub(crate) fn state(&self) -> SpoolState {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        SpoolState {
            events: count(self.held.len()),
            sent: count(self.by_place.len()),
            bytes: self.bytes,
            oldest_at: self.held.values().next().map(|held| held.at),
            next: self.next,
        }
    }
}
