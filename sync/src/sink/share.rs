//! One partition of this node's share: what is gathered, what is under way, what the group knows.
//!
//! At most one range is under way. Its bounds are in the group before its first byte goes out, and the group's offset
//! never passes a range that the center has not acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edgefeed_storage::Store;
use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};

use super::bad::BadRecords;
use super::commit::Mark;
use super::gather::{Gathered, Limit, Sealed, Source};
use super::range::Range;
use crate::center::Table;
use crate::error::Result;

/// Where to begin in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The offset the group holds, or the start of the log when it holds none.
    pub(crate) offset: i64,
    pub(crate) mark: Mark,
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) at: TopicPartition,
    pub(crate) table: Table,
    pub(crate) source: Source,
    pub(crate) gathered: Gathered,
    /// The offset the group holds: everything below is in the center.
    pub(crate) committed: i64,
    /// Everything below was handed out by Kafka.
    pub(crate) seen: i64,
    /// Set when the partition is no longer this node's.
    pub(crate) dropped: Arc<AtomicBool>,
    /// Up to this offset somebody has accepted bad records.
    pub(crate) accepted: i64,
    /// Whether fetching is paused.
    pub(crate) held: bool,
    /// The last offset of a range that may have been sent before.
    adopted: Option<i64>,
    /// Sealed, not yet known to be in the group.
    sealed: Option<Sealed>,
    /// Whether the group knows the sealed range.
    told: bool,
    /// Being written.
    writing: Option<(Range, TimestampMs)>,
    /// In the center, not yet known to the group.
    acked: Option<i64>,
    since: Option<Instant>,
    flush: Flush,
    bad: BadRecords,
    /// The record at which most records were found to be bad.
    broken_at: Option<i64>,
}

/// How long rows are gathered: longer while the center asks for fewer and larger inserts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flush {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    pub(crate) now: Duration,
}

impl Flush {
    /// Doubles when the center was crowded, and comes back slowly when it was not.
    fn learn(&mut self, crowded: bool) {
        self.now = if crowded { self.now * 2 } else { self.now.mul_f64(0.9) }.clamp(self.least, self.most);
    }
}

impl Share {
    pub(crate) fn new(at: TopicPartition, table: Table, source: Source, begin: Begin, flush: Flush) -> Self {
        Self {
            at,
            table,
            source,
            gathered: Gathered::default(),
            committed: begin.offset,
            seen: begin.offset,
            dropped: Arc::default(),
            accepted: -1,
            held: false,
            adopted: begin.mark.pending_through.filter(|last| *last >= begin.offset),
            sealed: None,
            told: false,
            writing: None,
            acked: None,
            since: None,
            flush,
            bad: BadRecords::default(),
            broken_at: None,
        }
    }

    /// The topic.
    pub(crate) fn topic(&self) -> Topic {
        self.at.topic
    }

    /// The last offset of the range under way.
    pub(crate) fn pending(&self) -> Option<i64> {
        self.writing.map(|(range, _)| range.last).or(self.adopted)
    }

    /// Notes a record that was gathered at `now`.
    pub(crate) fn took(&mut self, offset: i64, bad: bool, now: Instant) {
        self.seen = self.seen.max(offset + 1);
        self.since.get_or_insert(now);
        // What was written ahead is written; what somebody accepted is no news.
        let settled = self.adopted.is_some_and(|last| offset <= last) || offset <= self.accepted;
        if !settled && self.broken_at.is_none() && self.bad.note(bad) {
            self.broken_at = Some(offset);
        }
    }

    /// Notes that Kafka holds no record below `next` that was not handed out.
    pub(crate) fn passed(&mut self, next: i64) {
        self.seen = self.seen.max(next);
    }

    /// Where most records were found bad, unless that was accepted.
    pub(crate) fn broken(&mut self) -> Option<i64> {
        if self.broken_at.is_some_and(|offset| offset <= self.accepted) {
            self.broken_at = None;
            self.bad.forget();
        }
        self.broken_at
    }

    /// The record time of the oldest record that is not acknowledged, as far as one was read.
    pub(crate) fn oldest(&self) -> Option<TimestampMs> {
        let sealed = self.sealed.as_ref().map(|sealed| sealed.oldest);
        self.writing.map(|(_, oldest)| oldest).or(sealed).or(self.gathered.oldest())
    }

    /// Seals the next range when it is time to. The store has passed everything below `materialized`.
    pub(crate) fn seal(&mut self, limit: Limit, materialized: i64, store: &Store, now: Instant) -> Result<()> {
        if self.sealed.is_some() || self.writing.is_some() {
            return Ok(());
        }
        let Some(last) = self.next_end(limit, materialized, now) else { return Ok(()) };
        let first = self.acked.map_or(self.committed, |last| last + 1);
        let range = Range { first, last, epoch: self.source.epoch };
        let marks = store.marks(self.at, first..=last)?;
        let sealed = self.gathered.seal(range, &marks, &self.source, store)?;
        self.since = (!self.gathered.is_empty()).then_some(now);
        if sealed.is_empty() {
            self.adopted = None;
            self.acked = Some(last);
        } else {
            self.sealed = Some(sealed);
        }
        Ok(())
    }

    fn next_end(&self, limit: Limit, materialized: i64, now: Instant) -> Option<i64> {
        if let Some(last) = self.adopted {
            return (self.seen > last && materialized > last).then_some(last);
        }
        if self.broken_at.is_some() {
            return None;
        }
        // What would fill it lies ready: reading that takes a while, and small inserts cost the center most.
        let patience = if self.will_fill(limit, materialized) { self.flush.most } else { self.flush.now };
        if self.since.is_some_and(|since| now.duration_since(since) >= patience) {
            return self.gathered.cut(materialized, limit);
        }
        let full = self.gathered.len() >= limit.rows || self.gathered.weight() >= limit.bytes;
        // Not in small pieces behind a store that is behind.
        full.then(|| self.gathered.cut(i64::MAX, limit)).flatten().filter(|last| *last < materialized)
    }

    /// Whether a whole insert's records are gathered, or still to be read among those that the store has passed.
    fn will_fill(&self, limit: Limit, materialized: i64) -> bool {
        let unread = usize::try_from(materialized - self.seen).unwrap_or(0);
        self.gathered.len().saturating_add(unread) >= limit.rows
    }

    /// What the group should be told now.
    pub(crate) fn to_commit(&self) -> Option<(TopicPartition, i64, Mark)> {
        let through = self.sealed.as_ref().filter(|_| self.adopted.is_none()).map(|sealed| sealed.range.last);
        if self.acked.is_none() && (through.is_none() || self.told) {
            return None;
        }
        let offset = self.acked.map_or(self.committed, |last| last + 1);
        Some((self.at, offset, Mark { pending_through: through, epoch: self.source.epoch }))
    }

    /// The group knows what [`Share::to_commit`] said.
    pub(crate) fn committed(&mut self) {
        if let Some(last) = self.acked.take() {
            self.committed = last + 1;
        }
    }

    /// The group knows the sealed range.
    pub(crate) fn told(&mut self) {
        self.told = self.sealed.is_some();
    }

    /// What the group should be told before this node leaves: what is acknowledged, and no new range.
    pub(crate) fn to_acknowledge(&self) -> Option<(TopicPartition, i64, Mark)> {
        let last = self.acked?;
        Some((self.at, last + 1, Mark { pending_through: None, epoch: self.source.epoch }))
    }

    /// Whether records are needed whatever is held already: a range that was begun must be read to its end.
    pub(crate) fn wants_more(&self) -> bool {
        self.adopted.is_some_and(|last| self.seen <= last)
    }

    /// The range that may go out now, and whether it may have been sent before. None goes out before the group knows it.
    pub(crate) fn launch(&mut self) -> Option<(Sealed, bool)> {
        if self.acked.is_some() || !(self.told || self.adopted.is_some()) {
            return None;
        }
        let sealed = self.sealed.take()?;
        self.told = false;
        self.writing = Some((sealed.range, sealed.oldest));
        Some((sealed, self.adopted.take().is_some()))
    }

    /// The center has the range.
    pub(crate) fn written(&mut self, range: Range, crowded: bool) {
        if self.writing.is_some_and(|(writing, _)| writing == range) {
            self.writing = None;
            self.acked = Some(range.last);
            self.flush.learn(crowded);
        }
    }

    /// Whether it holds rows, gathered or under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.gathered.is_empty() || self.sealed.is_some() || self.writing.is_some()
    }

    /// Whether nothing is under way and everything acknowledged is known to the group.
    pub(crate) fn is_quiet(&self) -> bool {
        self.writing.is_none() && self.acked.is_none()
    }
}

/// A share that is let go is no longer this node's: what is under way stops retrying.
impl Drop for Share {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
