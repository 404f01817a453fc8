//! What is answered, as it travels between a running node and the command line. Ids are as everywhere in JSON: text or
//! numbers.

use edgefeed_storage::Sample;
use edgefeed_storage::model::{Counters, IdKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Some of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub first: Vec<T>,
}

impl<T> Listed<T> {
    pub(super) fn of<S>(sample: Sample<S>, show: impl FnMut(S) -> T) -> Self {
        Self { total: sample.total, first: sample.first.into_iter().map(show).collect() }
    }
}

/// A user as a reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Who.
    pub user: Value,
    /// Their row of `users`.
    pub row: Option<Row>,
    /// Whether and since when they are forgotten.
    pub forgotten: Option<Noted>,
    /// Whom they follow.
    pub follows: Listed<Value>,
    /// Who follows them.
    pub followers: Listed<Value>,
    /// Whom they block.
    pub blocks: Listed<Value>,
    /// Who blocks them.
    pub blocked_by: Listed<Value>,
    /// Posts they like.
    pub likes: Listed<Value>,
    /// Posts they hid.
    pub hides: Listed<WhenPost>,
    /// Posts they viewed of late, the latest first.
    pub viewed: Listed<WhenPost>,
    /// What they did with authors' posts in 90 days, the most first.
    pub history: Listed<History>,
    /// How the center's part of that was taken; `None` when it never was.
    pub base: Option<Base>,
}

/// A row that is there or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Packed version of the last change.
    pub version: u64,
    /// When it was removed; `None` while it exists.
    pub removed_at: Option<String>,
}

/// That a user is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Since when.
    pub at: String,
    /// Whether everything of theirs is gone here.
    pub removed_here: bool,
    /// Whether this node has seen that everything of theirs is gone at the center.
    pub removed_at_center: bool,
}

/// A post and a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhenPost {
    /// The post.
    pub post: Value,
    /// When it was hidden, viewed or written.
    pub at: String,
}

/// A reader with one author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The author.
    pub author: Value,
    /// As this node applied it.
    pub own: Counters,
    /// As the center had it from before.
    pub base: Counters,
}

/// How the center's part of a history was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// When.
    pub as_of: String,
    /// How many rows it had.
    pub rows: u32,
}

/// A post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Which.
    pub post: Value,
    /// `live`, `hidden` (a soft delete), `removed` or `unknown`.
    pub state: String,
    /// Who wrote it.
    pub author: Option<Value>,
    /// When.
    pub created_at: Option<String>,
    /// When its row was removed.
    pub removed_at: Option<String>,
    /// Packed version of the last change.
    pub version: Option<u64>,
    /// Live rows of `likes`.
    pub like_count: u64,
    /// Live rows of `comments`.
    pub comment_count: u64,
    /// Events by hour of event time, ascending.
    pub hours: Vec<Hour>,
}

/// The events of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// When it began.
    pub hour: String,
    /// The events.
    #[serde(flatten)]
    pub events: Counters,
}

/// A user as an author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Who.
    pub author: Value,
    /// Their live posts, newest first.
    pub posts: Listed<WhenPost>,
    /// How many of them a feed reads from memory.
    pub in_memory: u64,
    /// Who follows them.
    pub followers: Listed<Value>,
}

/// How far the store has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    /// Every partition that the store or Kafka has.
    pub partitions: Vec<Partition>,
    /// Why the brokers could not be asked; `None` when they were.
    pub kafka: Option<String>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Kafka's name of the topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
    /// The offset to read next; `None` where nothing was applied yet.
    pub next_offset: Option<i64>,
    /// Kafka's time of the last record applied.
    pub last_time: Option<String>,
    /// The partition's own record time.
    pub watermark: Option<String>,
    /// From which offset on the marks of dropped records are complete.
    pub marked_from: Option<i64>,
    /// The first offset Kafka keeps.
    pub log_start: Option<i64>,
    /// The offset after the last.
    pub log_end: Option<i64>,
    /// How many offsets are not applied.
    pub lag: Option<i64>,
}

/// How much the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSize {
    /// Its format.
    pub format: u32,
    /// The kind of its ids.
    pub ids: IdKind,
    /// Bytes of its table files.
    pub disk_bytes: u64,
    /// By column family.
    pub families: Vec<Family>,
}

/// One column family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Its name.
    pub family: String,
    /// Bytes of its table files.
    pub disk_bytes: u64,
    /// Entries, by RocksDB's estimate.
    pub entries: u64,
}
