//! Rows in ClickHouse's RowBinary: each column's bytes one after the other, without names and without padding.
//!
//! A row is encoded when it is read and sealed, with the range of the insert it goes with, when that is known: its last
//! two columns are the range. What is encoded depends on the record and `node.ids` alone, so every node and every
//! attempt sends the same bytes.

use edgefeed_storage::model::{Action, Event, Id, IdKind, TimestampMs};

use super::tables::Table;

/// The latest time that is sent: 2100-01-01T00:00:00Z.
///
/// The views make hours (`DateTime`, which ends on 2106-02-07) and days (`Date`, to 2149-06-06) of it, the tables' TTL
/// adds 97 days, and all of these silently start anew at 1970 past their end; `DateTime64` itself reaches 2299.
pub const LATEST_MS: TimestampMs = 4_102_444_800_000;

/// Where a row came from: the columns that begin with `_`, but for the range.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `node.cluster` of the log.
    pub cluster: &'a str,
    /// How often the topic was begun anew.
    pub epoch: u32,
    /// Kafka's name of the topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The record's offset.
    pub offset: u64,
    /// Kafka's record time.
    pub ts: TimestampMs,
}

/// One row of `events`.
#[derive(Clone, Copy, Debug)]
pub struct EventRow<'a> {
    /// The event.
    pub event: &'a Event,
    /// What it was sent from; empty when not told.
    pub device: &'a str,
    /// With which version of the application; empty when not told.
    pub app_ver: &'a str,
}

/// One row of a `…_cdc` table. Of a deleted row only the key is sent; the other fields may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of the application's tables")]
pub enum CdcRow {
    /// A row of `posts`.
    Post { id: Id, user_id: Id, created_at: TimestampMs, deleted_at: Option<TimestampMs> },
    /// A row of `follows`.
    Follow { follower_id: Id, following_id: Id, created_at: TimestampMs },
    /// A row of `comments`.
    Comment { id: Id, post_id: Id, user_id: Id, created_at: TimestampMs },
    /// A row of `likes`.
    Like { user_id: Id, post_id: Id, created_at: TimestampMs },
    /// A row of `blocks`.
    Block { blocker_id: Id, blocked_id: Id, created_at: TimestampMs },
}

impl CdcRow {
    /// The table it goes to.
    pub const fn table(&self) -> Table {
        match self {
            Self::Post { .. } => Table::Posts,
            Self::Follow { .. } => Table::Follows,
            Self::Comment { .. } => Table::Comments,
            Self::Like { .. } => Table::Likes,
            Self::Block { .. } => Table::Blocks,
        }
    }
}

/// Appends a row of `events`, all but its range.
pub fn event(out: &mut Vec<u8>, ids: IdKind, row: &EventRow<'_>, origin: &Origin<'_>) {
    let event = row.event;
    uuid(out, event.event_id);
    time(out, event.event_time);
    id(out, ids, event.user);
    id(out, ids, event.post);
    nullable(out, event.author, |out, author| id(out, ids, author));
    text(out, action(event.action));
    out.extend_from_slice(&event.dwell_ms.to_le_bytes());
    text(out, row.device);
    text(out, row.app_ver);
    from(out, origin);
}

/// Appends a row of its `…_cdc` table, all but its range.
///
/// `version` is the number that rows are compared by (`Version::packed`).
pub fn cdc(out: &mut Vec<u8>, ids: IdKind, row: &CdcRow, version: u64, deleted: bool, origin: &Origin<'_>) {
    match *row {
        CdcRow::Post { id: post, user_id, created_at, deleted_at } => {
            id(out, ids, post);
            id(out, ids, if deleted { Id(0) } else { user_id });
            time(out, if deleted { 0 } else { created_at });
            nullable(out, deleted_at.filter(|_| !deleted), time);
        }
        CdcRow::Comment { id: comment, post_id, user_id, created_at } => {
            id(out, ids, comment);
            id(out, ids, if deleted { Id(0) } else { post_id });
            id(out, ids, if deleted { Id(0) } else { user_id });
            time(out, if deleted { 0 } else { created_at });
        }
        CdcRow::Follow { follower_id: first, following_id: second, created_at }
        | CdcRow::Like { user_id: first, post_id: second, created_at }
        | CdcRow::Block { blocker_id: first, blocked_id: second, created_at } => {
            id(out, ids, first);
            id(out, ids, second);
            time(out, if deleted { 0 } else { created_at });
        }
    }
    out.extend_from_slice(&version.to_le_bytes());
    out.push(u8::from(deleted));
    from(out, origin);
}

/// Bytes of a row's end.
const RANGE_BYTES: usize = 16;

/// Ends a row: the first and the last offset of the insert it goes with. 16 bytes.
pub fn seal(out: &mut Vec<u8>, first: u64, last: u64) {
    out.extend_from_slice(&range(first, last));
}

/// Gives the row that `rows` ends with another range.
pub fn reseal(rows: &mut [u8], first: u64, last: u64) {
    if let Some(end) = rows.last_chunk_mut::<RANGE_BYTES>() {
        *end = range(first, last);
    }
}

fn range(first: u64, last: u64) -> [u8; RANGE_BYTES] {
    (u128::from(last) << 64 | u128::from(first)).to_le_bytes()
}

fn from(out: &mut Vec<u8>, origin: &Origin<'_>) {
    text(out, origin.cluster);
    out.extend_from_slice(&origin.epoch.to_le_bytes());
    text(out, origin.topic);
    out.extend_from_slice(&origin.partition.to_le_bytes());
    out.extend_from_slice(&origin.offset.to_le_bytes());
    time(out, origin.ts);
}

/// The upper half of the number first, each half with its lowest byte first.
fn uuid(out: &mut Vec<u8>, value: u128) {
    out.extend_from_slice(&value.rotate_left(64).to_le_bytes());
}

#[expect(clippy::cast_possible_truncation, reason = "ids of this kind have 64 bits: `IdKind::parse` makes no others")]
fn id(out: &mut Vec<u8>, ids: IdKind, value: Id) {
    match ids {
        IdKind::Uuid => uuid(out, value.0),
        IdKind::U64 => out.extend_from_slice(&(value.0 as u64).to_le_bytes()),
    }
}

fn time(out: &mut Vec<u8>, value: TimestampMs) {
    out.extend_from_slice(&sent_time(value).to_le_bytes());
}

/// A time as it is sent: within what every column of it can hold.
pub(crate) fn sent_time(value: TimestampMs) -> TimestampMs {
    value.clamp(0, LATEST_MS)
}

fn nullable<T>(out: &mut Vec<u8>, value: Option<T>, put: impl Fn(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_none()));
    if let Some(value) = value {
        put(out, value);
    }
}

/// The length, seven bits a byte and the lowest first, and the bytes. `LowCardinality(String)` is written the same.
fn text(out: &mut Vec<u8>, value: &str) {
    let mut left = value.len();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(value.as_bytes());
}

/// The word the views count by: the one that records carry.
pub(super) const fn action(action: Action) -> &'static str {
    match action {
        Action::View => "view",
        Action::Impression => "impression",
        Action::Like => "like",
        Action::Comment => "comment",
        Action::Share => "share",
        Action::Hide => "hide",
    }
}
