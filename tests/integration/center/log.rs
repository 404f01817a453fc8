//! A seeded log as an application and its clients would write it, and beside each record what it means by the contract.
//!
//! Nothing here comes from edgefeed's own code: what a record means is decided where it is made, not by reading it.

mod bad;
mod changes;
mod events;
mod shapes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::crash::dice::Dice;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// What a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Events,
    Posts,
    Follows,
    Comments,
    Likes,
    Blocks,
}

impl Source {
    pub(crate) const ALL: [Self; 6] =
        [Self::Events, Self::Posts, Self::Follows, Self::Comments, Self::Likes, Self::Blocks];
    pub(crate) const CDC: [Self; 5] = [Self::Posts, Self::Follows, Self::Comments, Self::Likes, Self::Blocks];

    /// The key of `[kafka.topics]`, and the name of the application's table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Posts => "posts",
            Self::Follows => "follows",
            Self::Comments => "comments",
            Self::Likes => "likes",
            Self::Blocks => "blocks",
        }
    }

    /// The center's table.
    pub(crate) fn table(self) -> String {
        if self == Self::Events { "events".to_owned() } else { format!("{}_cdc", self.name()) }
    }

    /// The id columns of a CDC table, the primary key first; its times follow.
    pub(crate) fn id_columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[],
            Self::Posts => &["id", "user_id"],
            Self::Follows => &["follower_id", "following_id"],
            Self::Comments => &["id", "post_id", "user_id"],
            Self::Likes => &["user_id", "post_id"],
            Self::Blocks => &["blocker_id", "blocked_id"],
        }
    }

    /// How many of the id columns are the primary key.
    pub(crate) fn key_width(self) -> usize {
        if matches!(self, Self::Posts | Self::Comments) { 1 } else { 2 }
    }
}

/// Which kind of ids: the contract has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    U64,
    Uuid,
}

impl Ids {
    /// As `node.ids` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U64 => "u64",
            Self::Uuid => "uuid",
        }
    }

    /// As ClickHouse's `toString` shows it.
    pub(crate) fn text(self, id: u128) -> String {
        match self {
            Self::U64 => id.to_string(),
            Self::Uuid => Uuid::from_u128(id).to_string(),
        }
    }

    /// As it stands in JSON: numbers are numbers, UUIDs strings.
    pub(crate) fn json(self, id: u128) -> serde_json::Value {
        match self {
            Self::U64 => u64::try_from(id).unwrap().into(),
            Self::Uuid => self.text(id).into(),
        }
    }

    /// An id of the other kind, which a record may not bear.
    pub(crate) fn foreign(self) -> serde_json::Value {
        match self {
            Self::U64 => Uuid::from_u128(7 << 64).to_string().into(),
            Self::Uuid => 7.into(),
        }
    }
}

/// An event as the center must hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRow {
    /// Unset where the record named none.
    pub(crate) id: Option<Uuid>,
    pub(crate) time_ms: i64,
    pub(crate) user: u128,
    pub(crate) post: u128,
    pub(crate) author: Option<u128>,
    pub(crate) action: &'static str,
    pub(crate) dwell_ms: u32,
    pub(crate) device: String,
    pub(crate) app_ver: String,
}

/// A row of an application's table, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Vec<u128>,
    pub(crate) lsn: u64,
    /// `None`: deleted.
    pub(crate) row: Option<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// By the table's id columns.
    pub(crate) ids: Vec<u128>,
    pub(crate) created_ms: i64,
    /// Of posts alone: a soft delete.
    pub(crate) deleted_ms: Option<i64>,
}

/// What a record means.
#[derive(Clone, Debug)]
pub(crate) enum Means {
    /// The first of its event id in its partition.
    Event(EventRow),
    /// Said before in this partition.
    Repeat,
    Change(Change),
    /// The tombstone that follows a delete.
    Nothing,
    /// A dead letter.
    Bad,
}

/// A record and its place.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) source: Source,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) time_ms: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) means: Arc<Means>,
}

/// How the log is to be.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) ids: Ids,
    pub(crate) partitions: u32,
    /// Nominal numbers: when they are written, record time has come to its end and stays there.
    pub(crate) events: usize,
    pub(crate) changes: usize,
    /// Record time of the first record, and of the last.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// An event is repeated only so long after it was first said, by record time.
    pub(crate) memory_ms: i64,
    /// Whether there are records that cannot be used.
    pub(crate) bad: bool,
}

/// What was said lately in a partition, to be said again.
struct Said {
    time_ms: i64,
    row: EventRow,
    value: Vec<u8>,
}

/// Writes the log, record by record.
pub(crate) struct Author {
    pub(crate) shape: Shape,
    dice: Dice,
    written: usize,
    ends: BTreeMap<(Source, u32), i64>,
    said: Vec<VecDeque<Said>>,
    tables: changes::Tables,
}

/// Users and posts there are. Few enough that the hot ones have many events an hour.
pub(crate) const USERS: usize = 400;
const POSTS: usize = 1_500;

impl Author {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        let said = (0..shape.partitions).map(|_| VecDeque::new()).collect();
        let tables = changes::Tables::default();
        Self { shape, dice: Dice::new(seed), written: 0, ends: BTreeMap::new(), said, tables }
    }

    /// The next records: one, or the few that belong together.
    pub(crate) fn next(&mut self) -> Vec<Entry> {
        let total = self.shape.events + self.shape.changes;
        let done = self.written.min(total) as i64;
        let span = self.shape.to_ms - self.shape.from_ms;
        let time_ms = self.shape.from_ms + span * done / total.max(1) as i64;
        let is_event = self.dice.below(total.max(1)) < self.shape.events;
        self.written += 1;
        let bad = self.shape.bad && self.dice.below(400) == 0;
        match (is_event, bad) {
            (true, false) => vec![self.event(time_ms)],
            (true, true) => vec![self.bad_event(time_ms)],
            (false, false) => self.change(time_ms),
            (false, true) => vec![self.bad_change(time_ms)],
        }
    }

    /// The offset after the last record of each partition that has any.
    pub(crate) fn ends(&self) -> &BTreeMap<(Source, u32), i64> {
        &self.ends
    }

    /// The record time the log has come to.
    pub(crate) fn time_ms(&self) -> i64 {
        let total = (self.shape.events + self.shape.changes).max(1);
        let span = self.shape.to_ms - self.shape.from_ms;
        self.shape.from_ms + span * self.written.min(total) as i64 / total as i64
    }

    fn entry(
        &mut self,
        (source, partition): (Source, u32),
        time_ms: i64,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        means: Means,
    ) -> Entry {
        let end = self.ends.entry((source, partition)).or_default();
        let offset = *end;
        *end += 1;
        Entry { source, partition, offset, time_ms, key, value, means: Arc::new(means) }
    }

    /// The id of the n-th user or post: spread over the whole range, and the same in every part of the log.
    fn id(&self, kind: u64, number: usize) -> u128 {
        let low = mix(kind << 40 | number as u64);
        match self.shape.ids {
            // PostgreSQL's bigint ends at 2^63.
            Ids::U64 => u128::from(low >> 1),
            Ids::Uuid => u128::from(mix(low)) << 64 | u128::from(low),
        }
    }

    /// The n-th user.
    pub(crate) fn user(&self, number: usize) -> u128 {
        self.id(1, number)
    }

    fn post(&self, number: usize) -> u128 {
        self.id(2, number)
    }

    /// Who wrote the n-th post.
    fn writer_of(&self, post: usize) -> u128 {
        self.user(post * post / 11 % USERS)
    }

    /// A user's number; a few have most of the events.
    fn hot(&mut self, among: usize) -> usize {
        let (one, other, third) = (self.dice.below(among), self.dice.below(among), self.dice.below(among));
        one.min(other).min(third)
    }
}

/// splitmix64's mixer.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
