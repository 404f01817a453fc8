//! Records on their way to one insert: decoded, encoded as rows, kept until a range of them is sealed.

mod body;
mod values;

use std::collections::VecDeque;

use edgefeed_storage::Store;
use edgefeed_storage::model::{Cdc, Change, DeadReason, Event, IdKind, Outcome, Refusal, RowChange, TimestampMs};

use super::range::Range;
use crate::center::row::{self, CdcRow, EventRow, Origin};
use crate::decode::Aside;
use crate::error::Result;
use body::Body;
use values::{Held, held, values};

/// What a gathered entry weighs beside its row, in bytes.
const ENTRY_BYTES: usize = 96;

/// Where a partition's rows come from: the columns that all of them share.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) ids: IdKind,
    pub(crate) cluster: String,
    pub(crate) epoch: u32,
    pub(crate) topic: String,
    pub(crate) partition: u32,
}

/// What one record became.
#[derive(Debug)]
enum Kind {
    /// A row, encoded.
    Row,
    /// Nothing for the center: a tombstone, a heartbeat.
    Nothing,
    /// A row whose record left something out: to be made once the store has passed it.
    Open(Box<(Cdc, Aside, Raw)>),
    /// A record that cannot be used.
    Dead(Box<Bad>),
    /// Every row of the table up to this version is gone.
    Truncate(u64),
}

/// A record that cannot be used.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) offset: i64,
    pub(crate) time: TimestampMs,
    pub(crate) reason: DeadReason,
    pub(crate) detail: String,
    pub(crate) raw: Raw,
}

/// The record's own bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raw {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    time: TimestampMs,
    /// Bytes of its row.
    bytes: usize,
    kind: Kind,
}

/// The records of one partition that no insert has taken yet, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    entries: VecDeque<Entry>,
    rows: Vec<u8>,
    weight: usize,
}

/// What one insert brings to the center.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) range: Range,
    /// The rows, encoded.
    pub(crate) body: Vec<u8>,
    /// How many rows.
    pub(crate) rows: u64,
    /// The records that cannot be used.
    pub(crate) letters: Vec<Bad>,
    /// Every row of the table up to this version is gone.
    pub(crate) truncate: Option<u64>,
    /// The record time of the first record.
    pub(crate) oldest: TimestampMs,
}

impl Sealed {
    /// Whether there is nothing to send anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 && self.letters.is_empty() && self.truncate.is_none()
    }
}

/// How much one insert may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Gathered {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes held.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// The record time of the first record.
    pub(crate) fn oldest(&self) -> Option<TimestampMs> {
        self.entries.front().map(|entry| entry.time)
    }

    /// Takes one record; tells whether it was a bad one.
    pub(crate) fn push(
        &mut self,
        source: &Source,
        (offset, time): (i64, TimestampMs),
        (outcome, aside): (Outcome, Aside),
        raw: impl FnOnce() -> Raw,
    ) -> bool {
        let before = self.rows.len();
        let mut spare = 0;
        let kind = match outcome {
            Outcome::Change(Change::Nothing) => Kind::Nothing,
            Outcome::Change(Change::Event(event)) => {
                self.event(source, (offset, time), &event, &aside);
                Kind::Row
            }
            Outcome::Change(Change::Cdc(cdc)) => match cdc.change {
                RowChange::Truncate => Kind::Truncate(cdc.version.packed()),
                _ if cdc.leaves_out() => {
                    let raw = raw();
                    spare = raw.weight();
                    Kind::Open(Box::new((cdc, aside, raw)))
                }
                _ => match values(&cdc, &aside, &Held::default()) {
                    Some(row) => {
                        self.row(source, (offset, time), cdc.version.packed(), row);
                        Kind::Row
                    }
                    None => Kind::Nothing,
                },
            },
            Outcome::Dead { refusal, key, value } => {
                let raw = Raw { key, value };
                spare = raw.weight();
                Kind::Dead(Box::new(letter((offset, time), refusal, raw)))
            }
        };
        let bad = matches!(kind, Kind::Dead(_));
        let bytes = self.rows.len() - before;
        self.weight += bytes + spare + ENTRY_BYTES;
        self.entries.push_back(Entry { offset, time, bytes, kind });
        bad
    }

    fn event(&mut self, source: &Source, (offset, time): (i64, TimestampMs), event: &Event, aside: &Aside) {
        let row = EventRow { event, device: &aside.device, app_ver: &aside.app_ver };
        row::event(&mut self.rows, source.ids, &row, &source.origin(offset, time));
        row::seal(&mut self.rows, 0, 0);
    }

    fn row(&mut self, source: &Source, (offset, time): (i64, TimestampMs), version: u64, row: (CdcRow, bool)) {
        let (row, deleted) = row;
        row::cdc(&mut self.rows, source.ids, &row, version, deleted, &source.origin(offset, time));
        row::seal(&mut self.rows, 0, 0);
    }

    /// The last offset of the next range: nothing at or above `passed`, no more than `limit`, a truncate by itself.
    pub(crate) fn cut(&self, passed: i64, limit: Limit) -> Option<i64> {
        let (mut rows, mut bytes, mut last) = (0, 0, None);
        for entry in self.entries.iter().take_while(|entry| entry.offset < passed) {
            let alone = matches!(entry.kind, Kind::Truncate(_));
            if last.is_some() && (alone || rows + 1 > limit.rows || bytes + entry.bytes > limit.bytes) {
                break;
            }
            (rows, bytes, last) = (rows + 1, bytes + entry.bytes, Some(entry.offset));
            if alone {
                break;
            }
        }
        last
    }

    /// Takes everything up to the end of `range` out. `marks` are the offsets of repeats and of what names somebody who
    /// was forgotten, ascending: those make no row.
    pub(crate) fn seal(&mut self, range: Range, marks: &[i64], source: &Source, store: &Store) -> Result<Sealed> {
        let oldest = self.oldest().unwrap_or_default();
        let count = self.entries.partition_point(|entry| entry.offset <= range.last);
        let taken: usize = self.entries.iter().take(count).map(|entry| entry.bytes).sum();
        let rest = self.rows.split_off(taken);
        // The rows become the body where they lie; what is made only now comes behind them.
        let mut rows = Body::new(range, std::mem::replace(&mut self.rows, rest));
        self.rows.reserve(taken);
        let (mut late, mut letters, mut truncate) = (Gathered::default(), Vec::new(), None);
        for entry in self.entries.drain(..count) {
            self.weight = self.weight.saturating_sub(entry.bytes + ENTRY_BYTES);
            let marked = marks.binary_search(&entry.offset).is_ok();
            rows.pass(entry.bytes, matches!(entry.kind, Kind::Row) && !marked);
            match entry.kind {
                Kind::Nothing | Kind::Row => {}
                Kind::Truncate(version) => truncate = truncate.max(Some(version)),
                Kind::Dead(letter) => {
                    self.weight = self.weight.saturating_sub(letter.raw.weight());
                    letters.push(*letter);
                }
                Kind::Open(record) => {
                    let (cdc, aside, raw) = *record;
                    self.weight = self.weight.saturating_sub(raw.weight());
                    if marked {
                        continue;
                    }
                    let at = (entry.offset, entry.time);
                    match held(&cdc, store)? {
                        None => letters.push(unavailable(at, raw)),
                        Some(held) => {
                            if let Some(row) = values(&cdc, &aside, &held) {
                                late.row(source, at, cdc.version.packed(), row);
                                rows.add(&mut late.rows);
                            }
                        }
                    }
                }
            }
        }
        let (body, rows) = rows.end();
        Ok(Sealed { range, body, rows, letters, truncate, oldest })
    }
}

impl Raw {
    fn weight(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

impl Source {
    fn origin(&self, offset: i64, time: TimestampMs) -> Origin<'_> {
        let Self { cluster, epoch, topic, partition, .. } = self;
        Origin { cluster, epoch: *epoch, topic, partition: *partition, offset: unsigned(offset), ts: time }
    }
}

fn letter((offset, time): (i64, TimestampMs), refusal: Refusal, raw: Raw) -> Bad {
    Bad { offset, time, reason: refusal.reason, detail: refusal.detail, raw }
}

/// Offsets are never negative.
fn unsigned(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

/// The store refused the record for the same reason.
fn unavailable(at: (i64, TimestampMs), raw: Raw) -> Bad {
    let detail = "the row leaves out a value that was never sent".to_owned();
    letter(at, Refusal { reason: DeadReason::UnavailableValue, detail }, raw)
}

#[cfg(test)]
mod tests;
