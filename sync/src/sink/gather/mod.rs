//! Records on their way to one insert: decoded, encoded as rows, kept until a range of them is sealed.

use std::collections::VecDeque;

use edgefeed_storage::Store;
use edgefeed_storage::model::{
    Cdc, Change, DeadReason, Event, Field, Id, IdKind, Outcome, Refusal, Row, RowChange, RowKey, TimestampMs,
};

use super::range::Range;
use crate::center::row::{self, CdcRow, EventRow, Origin};
use crate::decode::Aside;
use crate::error::Result;

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

    /// Takes everything up to the end of `range` out. `marks` are the offsets of repeats, ascending: those make no row.
    pub(crate) fn seal(&mut self, range: Range, marks: &[i64], source: &Source, store: &Store) -> Result<Sealed> {
        let oldest = self.oldest().unwrap_or_default();
        let mut sealed = Sealed { range, body: Vec::new(), rows: 0, letters: Vec::new(), truncate: None, oldest };
        let mut taken = 0;
        let mut open = Gathered::default();
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.offset <= range.last) {
            let row = &self.rows[taken..taken + entry.bytes];
            taken += entry.bytes;
            self.weight = self.weight.saturating_sub(entry.bytes + ENTRY_BYTES);
            match entry.kind {
                Kind::Nothing => {}
                Kind::Row if marks.binary_search(&entry.offset).is_ok() => {}
                Kind::Row => sealed.take(row),
                Kind::Truncate(version) => sealed.truncate = sealed.truncate.max(Some(version)),
                Kind::Dead(letter) => {
                    self.weight = self.weight.saturating_sub(letter.raw.weight());
                    sealed.letters.push(*letter);
                }
                Kind::Open(record) => {
                    let (cdc, aside, raw) = *record;
                    self.weight = self.weight.saturating_sub(raw.weight());
                    match held(&cdc, store)? {
                        Some(held) => {
                            let Some(row) = values(&cdc, &aside, &held) else { continue };
                            open.rows.clear();
                            open.row(source, (entry.offset, entry.time), cdc.version.packed(), row);
                            sealed.take(&open.rows);
                        }
                        None => sealed.letters.push(unavailable((entry.offset, entry.time), raw)),
                    }
                }
            }
        }
        self.rows.drain(..taken);
        Ok(sealed)
    }
}

impl Sealed {
    fn take(&mut self, row: &[u8]) {
        self.body.extend_from_slice(row);
        // Gathered rows end with a range of zeros, which is known only now.
        self.body.truncate(self.body.len() - row::RANGE_BYTES);
        row::seal(&mut self.body, unsigned(self.range.first), unsigned(self.range.last));
        self.rows += 1;
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

/// What the store holds of a row whose record left something out.
#[derive(Debug, Default)]
struct Held {
    user: Option<Id>,
    post: Option<Id>,
    created_at: Option<TimestampMs>,
    hidden: bool,
}

/// Looks up what a record left out; `None` when the store does not know it either.
fn held(cdc: &Cdc, store: &Store) -> Result<Option<Held>> {
    Ok(match cdc.change {
        RowChange::Upsert(Row::Post { id, .. }) => store.post_row(id)?.and_then(|row| {
            let (user, created_at) = row.author?;
            Some(Held { user: Some(user), created_at: Some(created_at), hidden: row.hidden, post: None })
        }),
        RowChange::Upsert(Row::Comment { id, .. }) => {
            store.comment_row(id)?.and_then(|row| Some(Held { post: Some(row.post?), ..Held::default() }))
        }
        _ => Some(Held::default()),
    })
}

/// The row a change makes at the center, and whether it is gone; `None` for what has no table there. Of a deleted row
/// only the key is known.
fn values(cdc: &Cdc, aside: &Aside, held: &Held) -> Option<(CdcRow, bool)> {
    let created_at = aside.created_at.or(held.created_at).unwrap_or_default();
    Some(match cdc.change {
        RowChange::Upsert(Row::Post { id, author, created_at: known, deleted }) => {
            let deleted_at = match deleted {
                Field::Known(false) => None,
                Field::Known(true) => Some(aside.deleted_at.unwrap_or_default()),
                Field::Unchanged => held.hidden.then_some(0),
            };
            let user_id = author.or(held.user).unwrap_or(Id(0));
            (
                CdcRow::Post { id, user_id, created_at: known.or(held.created_at).unwrap_or(created_at), deleted_at },
                false,
            )
        }
        RowChange::Upsert(Row::Comment { id, post }) => {
            let (post_id, user_id) = (post.or(held.post).unwrap_or(Id(0)), aside.user.unwrap_or(Id(0)));
            (CdcRow::Comment { id, post_id, user_id, created_at }, false)
        }
        RowChange::Upsert(Row::Follow { follower: follower_id, following: following_id }) => {
            (CdcRow::Follow { follower_id, following_id, created_at }, false)
        }
        RowChange::Upsert(Row::Like { user: user_id, post: post_id }) => {
            (CdcRow::Like { user_id, post_id, created_at }, false)
        }
        RowChange::Upsert(Row::Block { blocker: blocker_id, blocked: blocked_id }) => {
            (CdcRow::Block { blocker_id, blocked_id, created_at }, false)
        }
        RowChange::Delete(key) => (gone(key)?, true),
        RowChange::Upsert(Row::User { .. }) | RowChange::Truncate => return None,
    })
}

/// A row of which only the key is known.
fn gone(key: RowKey) -> Option<CdcRow> {
    let (none, created_at) = (Id(0), 0);
    Some(match key {
        RowKey::Post(id) => CdcRow::Post { id, user_id: none, created_at, deleted_at: None },
        RowKey::Comment(id) => CdcRow::Comment { id, post_id: none, user_id: none, created_at },
        RowKey::Follow(follower_id, following_id) => CdcRow::Follow { follower_id, following_id, created_at },
        RowKey::Like(user_id, post_id) => CdcRow::Like { user_id, post_id, created_at },
        RowKey::Block(blocker_id, blocked_id) => CdcRow::Block { blocker_id, blocked_id, created_at },
        RowKey::User(_) => return None,
    })
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
