//! One thing that happened, before it is bytes: a row change of the database or a client event.

use edgefeed_storage::model::{
    Action, Cdc, Change, Event, Field, Id, Row, RowChange, RowKey, TimestampMs, Topic, Version,
};

use super::mix::{Dice, Stream, mix, uuid_bits};

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// When the log got it: the Kafka record's time.
    pub time_ms: TimestampMs,
    /// What it was.
    pub what: What,
}

/// The two kinds of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A row of the application's database changed.
    Row(RowFact),
    /// A client reported an event.
    Event(EventFact),
}

/// A row change, as PostgreSQL's log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFact {
    /// Snapshot, create, update or delete.
    pub op: Op,
    /// The row after the change; for a delete the row that went.
    pub row: TableRow,
    /// Position in PostgreSQL's log; all rows of the snapshot share one.
    pub lsn: u64,
    /// Commit time in the database; for the snapshot, the time it was taken.
    pub commit_ms: TimestampMs,
}

/// Debezium's kinds of row change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `r`: read by the snapshot.
    Snapshot,
    /// `c`.
    Create,
    /// `u`.
    Update,
    /// `d`, followed by a tombstone.
    Delete,
}

impl Op {
    /// Debezium's letter.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Snapshot => "r",
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }
}

/// A whole row of one of the application's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableRow {
    /// `posts`.
    Post {
        /// Primary key.
        id: Id,
        /// `user_id`.
        author: Id,
        /// `created_at`.
        created_at: TimestampMs,
        /// `deleted_at`: a soft delete.
        deleted_at: Option<TimestampMs>,
        /// The record says of `user_id` and `created_at` only that they are unchanged (Debezium's placeholder).
        toasted: bool,
    },
    /// `follows`.
    Follow {
        /// `follower_id`.
        follower: Id,
        /// `following_id`.
        following: Id,
        /// `created_at`.
        created_at: TimestampMs,
    },
    /// `comments`.
    Comment {
        /// Primary key.
        id: Id,
        /// `post_id`.
        post: Id,
        /// `user_id`.
        user: Id,
        /// `created_at`.
        created_at: TimestampMs,
    },
    /// `likes`.
    Like {
        /// `user_id`.
        user: Id,
        /// `post_id`.
        post: Id,
        /// `created_at`.
        created_at: TimestampMs,
    },
    /// `blocks`.
    Block {
        /// `blocker_id`.
        blocker: Id,
        /// `blocked_id`.
        blocked: Id,
        /// `created_at`.
        created_at: TimestampMs,
    },
    /// `users`.
    User {
        /// Primary key.
        id: Id,
    },
}

/// A client event as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFact {
    /// `event_id`, when the client gave one.
    pub event_id: Option<u128>,
    /// `event_time`.
    pub event_time: TimestampMs,
    /// `user_id`.
    pub user: Id,
    /// `post_id`.
    pub post: Id,
    /// `author_id`, when the client knew it.
    pub author: Option<Id>,
    /// `action`.
    pub action: Action,
    /// `dwell_ms`; left out when 0.
    pub dwell_ms: u32,
}

impl Fact {
    /// A row change whose log position is still to be set by whoever puts it into the log.
    pub(super) const fn row(time_ms: TimestampMs, op: Op, row: TableRow) -> Self {
        Self { time_ms, what: What::Row(RowFact { op, row, lsn: 0, commit_ms: time_ms }) }
    }

    /// An event that reaches the log at `time_ms`.
    pub(super) const fn event(time_ms: TimestampMs, event: EventFact) -> Self {
        Self { time_ms, what: What::Event(event) }
    }

    /// The topic the fact is told on.
    pub const fn topic(&self) -> Topic {
        match &self.what {
            What::Event(_) => Topic::Events,
            What::Row(fact) => fact.row.topic(),
        }
    }

    /// What a node makes of it, without the way through JSON. `epoch` is `kafka.cdc_epoch`.
    ///
    /// An event without id gets one that depends on user, post, action and time alone; it is not the one a decoder
    /// would derive.
    pub fn to_change(&self, epoch: u8) -> Change {
        match &self.what {
            What::Event(event) => Change::Event(event.to_event()),
            What::Row(fact) => Change::Cdc(Cdc {
                version: Version::from_lsn(epoch, fact.lsn),
                commit_time: fact.commit_ms,
                change: match fact.op {
                    Op::Delete => RowChange::Delete(fact.row.key()),
                    Op::Snapshot | Op::Create | Op::Update => RowChange::Upsert(fact.row.to_row()),
                },
            }),
        }
    }
}

impl EventFact {
    fn to_event(self) -> Event {
        Event {
            event_id: self.event_id.unwrap_or_else(|| self.derived_id()),
            event_time: self.event_time,
            user: self.user,
            post: self.post,
            author: self.author,
            action: self.action,
            dwell_ms: self.dwell_ms,
        }
    }

    fn derived_id(&self) -> u128 {
        let parts = [self.user.0, self.post.0, self.action as u128, self.event_time as u128];
        let folded = parts
            .into_iter()
            .fold(0, |sum, part| mix(mix(sum ^ part as u64).wrapping_add((part >> 64) as u64).wrapping_add(1)));
        uuid_bits(&mut Dice::new(folded, Stream::EventId, 0))
    }
}

impl TableRow {
    /// The topic that carries the table's changes.
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Post { .. } => Topic::Posts,
            Self::Follow { .. } => Topic::Follows,
            Self::Comment { .. } => Topic::Comments,
            Self::Like { .. } => Topic::Likes,
            Self::Block { .. } => Topic::Blocks,
            Self::User { .. } => Topic::Users,
        }
    }

    /// The primary key.
    pub const fn key(&self) -> RowKey {
        match *self {
            Self::Post { id, .. } => RowKey::Post(id),
            Self::Follow { follower, following, .. } => RowKey::Follow(follower, following),
            Self::Comment { id, .. } => RowKey::Comment(id),
            Self::Like { user, post, .. } => RowKey::Like(user, post),
            Self::Block { blocker, blocked, .. } => RowKey::Block(blocker, blocked),
            Self::User { id } => RowKey::User(id),
        }
    }

    const fn to_row(self) -> Row {
        match self {
            Self::Post { id, deleted_at, toasted: true, .. } => Row::Post {
                id,
                author: Field::Unchanged,
                created_at: Field::Unchanged,
                deleted: Field::Known(deleted_at.is_some()),
            },
            Self::Post { id, author, created_at, deleted_at, toasted: false } => Row::Post {
                id,
                author: Field::Known(author),
                created_at: Field::Known(created_at),
                deleted: Field::Known(deleted_at.is_some()),
            },
            Self::Follow { follower, following, .. } => Row::Follow { follower, following },
            Self::Comment { id, post, user, .. } => Row::Comment { id, post: Field::Known(post), user: Some(user) },
            Self::Like { user, post, .. } => Row::Like { user, post },
            Self::Block { blocker, blocked, .. } => Row::Block { blocker, blocked },
            Self::User { id } => Row::User { id },
        }
    }
}
