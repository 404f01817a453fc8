//! The vocabulary every crate speaks: ids, events, rows, versions, records, counters.
//!
//! Nothing here does IO or reads a clock. Times are UTC milliseconds since 1970 ([`TimestampMs`]).

mod cdc;
mod id;

use serde::{Deserialize, Serialize};

pub use cdc::{Cdc, Field, Row, RowChange, RowKey, Version, VersionKind};
pub use id::{Id, IdKind};

/// UTC milliseconds since 1970-01-01T00:00:00Z.
pub type TimestampMs = i64;
/// Whole UTC days since 1970-01-01.
pub type Day = u16;
/// Whole hours since 1970-01-01T00:00:00Z.
pub type Hour = u32;

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds in a UTC day.
pub const DAY_MS: i64 = 86_400_000;

/// The UTC hour a time falls in; times before 1970 count as hour 0.
pub fn hour_of(ts: TimestampMs) -> Hour {
    Hour::try_from(ts.max(0) / HOUR_MS).unwrap_or(Hour::MAX)
}

/// The UTC day a time falls in; times before 1970 count as day 0.
pub fn day_of(ts: TimestampMs) -> Day {
    Day::try_from(ts.max(0) / DAY_MS).unwrap_or(Day::MAX)
}

/// The logical topics a node follows. Their Kafka names are configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Topic {
    /// Client events, keyed by user.
    Events = 1,
    /// Change data capture of `posts`.
    Posts = 2,
    /// Change data capture of `follows`.
    Follows = 3,
    /// Change data capture of `comments`.
    Comments = 4,
    /// Change data capture of `likes`.
    Likes = 5,
    /// Change data capture of `blocks` (optional topic).
    Blocks = 6,
    /// Change data capture of `users` (optional topic).
    Users = 7,
}

impl Topic {
    /// Every topic; a topic's code on disk is its discriminant and never changes.
    pub const ALL: [Self; 7] =
        [Self::Events, Self::Posts, Self::Follows, Self::Comments, Self::Likes, Self::Blocks, Self::Users];

    /// The code of this topic in keys.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The topic of a code read from a key.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.code() == code)
    }

    /// The PostgreSQL table whose changes the topic carries; `None` for `events`.
    pub const fn table(self) -> Option<&'static str> {
        match self {
            Self::Events => None,
            Self::Posts => Some("posts"),
            Self::Follows => Some("follows"),
            Self::Comments => Some("comments"),
            Self::Likes => Some("likes"),
            Self::Blocks => Some("blocks"),
            Self::Users => Some("users"),
        }
    }

    /// The name used in labels, configuration keys and messages.
    pub const fn name(self) -> &'static str {
        match self.table() {
            Some(table) => table,
            None => "events",
        }
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The logical topic.
    pub topic: Topic,
    /// The Kafka partition number.
    pub partition: u32,
}

/// What a reader did with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The post was read.
    View,
    /// The post was shown.
    Impression,
    /// A like.
    Like,
    /// A comment.
    Comment,
    /// A share.
    Share,
    /// "Show me no more of this".
    Hide,
}

/// One client event, validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Identity for deduplication: the UUID given, or one derived from user, post, action and time.
    pub event_id: u128,
    /// When it happened, by the client's clock.
    pub event_time: TimestampMs,
    /// Who acted.
    pub user: Id,
    /// On which post.
    pub post: Id,
    /// Who wrote the post; without it the event never counts for affinity.
    pub author: Option<Id>,
    /// What was done.
    pub action: Action,
    /// Milliseconds spent on the post.
    pub dwell_ms: u32,
}

/// What one record asks of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A client event.
    Event(Event),
    /// A row change.
    Cdc(Cdc),
    /// Nothing but the offset moves: tombstone, heartbeat, logical message, transaction marker.
    Nothing,
}

/// Why a record could not be used. A closed list: these are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// Not JSON, or not an object.
    Malformed,
    /// Larger than `kafka.record_max_bytes`.
    TooLarge,
    /// A required field is absent.
    MissingField,
    /// A field has the wrong type or an unreadable value.
    BadValue,
    /// An id of the kind this deployment does not use.
    BadId,
    /// `event_time` outside 90 days before to 5 minutes after the record's time, or a version time ahead.
    TimeOutOfRange,
    /// An `op` that is none of Debezium's.
    UnknownOp,
    /// The record names another table than its topic carries.
    TableMismatch,
    /// An unchanged-value placeholder for a row this node has never seen.
    UnavailableValue,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::TooLarge,
        Self::MissingField,
        Self::BadValue,
        Self::BadId,
        Self::TimeOutOfRange,
        Self::UnknownOp,
        Self::TableMismatch,
        Self::UnavailableValue,
    ];

    /// The reason of a label.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::MissingField => "missing_field",
            Self::BadValue => "bad_value",
            Self::BadId => "bad_id",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::UnknownOp => "unknown_op",
            Self::TableMismatch => "table_mismatch",
            Self::UnavailableValue => "unavailable_value",
        }
    }
}

/// A record that could not be used, with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class of the fault.
    pub reason: DeadReason,
    /// What exactly was wrong, for a person.
    pub detail: String,
}

/// One Kafka record, decoded or refused, ready for `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands in the log.
    pub at: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Kafka's record time.
    pub time: TimestampMs,
    /// What it asks for, or why it cannot be used.
    pub outcome: Outcome,
    /// The record as it came, where the store may yet refuse it (see [`Cdc::leaves_out`]).
    pub raw: Option<Box<Raw>>,
}

/// A record's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// A record's decoded meaning, or the record itself with the reason it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Usable.
    Change(Change),
    /// Kept whole as a dead letter.
    Dead {
        /// Why.
        refusal: Refusal,
        /// The record's key, as it came.
        key: Option<Vec<u8>>,
        /// The record's value, as it came.
        value: Option<Vec<u8>>,
    },
}

/// Counts of events about one post in one hour, or of one pair in one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Events `view`.
    pub views: u32,
    /// Events `impression`.
    pub impressions: u32,
    /// Events `like`.
    pub likes: u32,
    /// Events `comment`.
    pub comments: u32,
    /// Events `share`.
    pub shares: u32,
    /// Sum of `dwell_ms`.
    pub dwell_ms: u64,
}

impl Counters {
    /// The counts one event adds. A hide adds none.
    pub fn of(event: &Event) -> Self {
        let mut counters = Self { dwell_ms: u64::from(event.dwell_ms), ..Self::default() };
        match event.action {
            Action::View => counters.views = 1,
            Action::Impression => counters.impressions = 1,
            Action::Like => counters.likes = 1,
            Action::Comment => counters.comments = 1,
            Action::Share => counters.shares = 1,
            Action::Hide => {}
        }
        counters
    }

    /// Adds another count to this one; saturates instead of wrapping.
    pub fn add(&mut self, other: &Self) {
        self.views = self.views.saturating_add(other.views);
        self.impressions = self.impressions.saturating_add(other.impressions);
        self.likes = self.likes.saturating_add(other.likes);
        self.comments = self.comments.saturating_add(other.comments);
        self.shares = self.shares.saturating_add(other.shares);
        self.dwell_ms = self.dwell_ms.saturating_add(other.dwell_ms);
    }

    /// Takes a count that was added before off this one.
    pub fn take(&mut self, other: &Self) {
        self.views = self.views.saturating_sub(other.views);
        self.impressions = self.impressions.saturating_sub(other.impressions);
        self.likes = self.likes.saturating_sub(other.likes);
        self.comments = self.comments.saturating_sub(other.comments);
        self.shares = self.shares.saturating_sub(other.shares);
        self.dwell_ms = self.dwell_ms.saturating_sub(other.dwell_ms);
    }
}
