//! Row changes as decoded: versions, rows, keys.

use serde::{Deserialize, Serialize};

use super::{Id, TimestampMs};

/// Where a row's version number came from. One kind a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionKind {
    /// `source.lsn`, the position in PostgreSQL's log.
    Lsn,
    /// `ts_ms << 14 | offset mod 2^14`, for records that carry no lsn.
    Time,
}

/// The version of a CDC row. Compare by [`Version::packed`]; only a strictly higher one changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `kafka.cdc_epoch`, raised by the operator when the database's log starts anew.
    pub epoch: u8,
    /// The source of `value`.
    pub kind: VersionKind,
    /// 56 bits of log position or time.
    pub value: u64,
}

impl Version {
    /// The largest value a version can hold.
    pub const MAX_VALUE: u64 = (1 << 56) - 1;

    /// A version from a log position (capped to 56 bits).
    pub fn from_lsn(epoch: u8, lsn: u64) -> Self {
        Self { epoch, kind: VersionKind::Lsn, value: lsn.min(Self::MAX_VALUE) }
    }

    /// A version for a record without a log position: its time, ties broken by its offset.
    pub fn from_time(epoch: u8, ts: TimestampMs, offset: i64) -> Self {
        let time = u64::try_from(ts.max(0)).unwrap_or(0).min(Self::MAX_VALUE >> 14);
        let tie = u64::try_from(offset.max(0)).unwrap_or(0) & 0x3fff;
        Self { epoch, kind: VersionKind::Time, value: time << 14 | tie }
    }

    /// 8 bits of epoch above 56 bits of value: the number that rows are compared by.
    pub fn packed(self) -> u64 {
        u64::from(self.epoch) << 56 | self.value.min(Self::MAX_VALUE)
    }
}

/// A field of a CDC row: its value, or the note that the record did not carry it (TOAST placeholder)
/// and the value held so far stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<T> {
    /// The record carries the value.
    Known(T),
    /// The record says "unchanged, not sent".
    Unchanged,
}

impl<T: Copy> Field<T> {
    /// The value carried, or the one held so far.
    pub fn or(self, held: Option<T>) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unchanged => held,
        }
    }
}

/// The new state of one row of the application's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// `posts(id, user_id, created_at[, deleted_at])`.
    Post {
        /// Primary key.
        id: Id,
        /// `user_id`.
        author: Field<Id>,
        /// When it was written.
        created_at: Field<TimestampMs>,
        /// Whether `deleted_at` is set: a soft delete.
        deleted: Field<bool>,
    },
    /// `follows(follower_id, following_id, created_at)`.
    Follow {
        /// Who follows.
        follower: Id,
        /// Who is followed.
        following: Id,
    },
    /// `comments(id, post_id, user_id, created_at)`.
    Comment {
        /// Primary key.
        id: Id,
        /// The post commented on.
        post: Field<Id>,
        /// `user_id`: who wrote it, where the record tells.
        user: Option<Id>,
    },
    /// `likes(user_id, post_id, created_at)`.
    Like {
        /// Who likes.
        user: Id,
        /// What is liked.
        post: Id,
    },
    /// `blocks(blocker_id, blocked_id, created_at)`.
    Block {
        /// Who blocks.
        blocker: Id,
        /// Who is blocked.
        blocked: Id,
    },
    /// `users(id)`.
    User {
        /// Primary key.
        id: Id,
    },
}

impl Row {
    /// The users a row names.
    pub fn users(&self) -> [Option<Id>; 2] {
        match *self {
            Self::Post { author, .. } => [author.or(None), None],
            Self::Comment { user, .. } => [user, None],
            Self::Follow { follower: one, following: other } | Self::Block { blocker: one, blocked: other } => {
                [Some(one), Some(other)]
            }
            Self::Like { user: id, .. } | Self::User { id } => [Some(id), None],
        }
    }
}

/// The primary key of one row: all that a delete may be believed about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// `posts.id`.
    Post(Id),
    /// `(follower_id, following_id)`.
    Follow(Id, Id),
    /// `comments.id`.
    Comment(Id),
    /// `(user_id, post_id)`.
    Like(Id, Id),
    /// `(blocker_id, blocked_id)`.
    Block(Id, Id),
    /// `users.id`.
    User(Id),
}

impl RowKey {
    /// The users whose relation the row is; a post, a comment and a user are not named by whose they are.
    pub const fn users(self) -> [Option<Id>; 2] {
        match self {
            Self::Follow(one, other) | Self::Block(one, other) => [Some(one), Some(other)],
            Self::Like(user, _) => [Some(user), None],
            Self::Post(_) | Self::Comment(_) | Self::User(_) => [None, None],
        }
    }
}

/// What a CDC record says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// The row is now this (create, update or snapshot read).
    Upsert(Row),
    /// The row is gone.
    Delete(RowKey),
    /// The whole table was emptied.
    Truncate,
}

/// One CDC record, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cdc {
    /// Decides against the version held.
    pub version: Version,
    /// Commit time in the database (`source.ts_ms`, else the record's).
    pub commit_time: TimestampMs,
    /// What happened.
    pub change: RowChange,
}

impl Cdc {
    /// Whether the row leaves out a value that only the store may know; then it may have to refuse it.
    pub fn leaves_out(&self) -> bool {
        match self.change {
            RowChange::Upsert(Row::Post { author, created_at, deleted, .. }) => {
                author == Field::Unchanged || created_at == Field::Unchanged || deleted == Field::Unchanged
            }
            RowChange::Upsert(Row::Comment { post, .. }) => post == Field::Unchanged,
            _ => false,
        }
    }
}
