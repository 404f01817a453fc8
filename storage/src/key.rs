//! The key space: every column family, its key layout, its value and its lifetime, on one page.
//!
//! All numbers are big-endian, so that bytes order as numbers do. `id` is 16 bytes (`uuid`) or 8 (`u64`), one width a
//! store. `~x` is the complement of x: what is newest comes first. Names and codes are on disk: they never change.

use crate::model::{Day, Hour, Id, IdKind, RowKey, TimestampMs, Topic, TopicPartition};

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// name → small records about the store itself (row version marks, the last contact, where own history begins, up
    /// to where bad records are accepted). For ever.
    Meta,
    /// topic:u8 partition:u32 → `Position`. For ever.
    Offsets,
    /// post:id → `PostRow`. Rows for ever, removed ones `tombstone_days`.
    Posts,
    /// author:id ~created_at:u64 ~post:id → nothing. While the post is live.
    AuthorPosts,
    /// follower:id following:id → `LinkRow`. Rows for ever, removed ones `tombstone_days`.
    Follows,
    /// following:id follower:id → nothing. While the follow is live.
    Followers,
    /// blocker:id blocked:id → `LinkRow`. As `Follows`.
    Blocks,
    /// blocked:id blocker:id → nothing. While the block is live.
    BlockedBy,
    /// user:id post:id → time:i64, when it was hidden. For ever.
    Hides,
    /// user:id post:id → time:i64 (merge: max), when it was last viewed. 24 h and a margin.
    Viewed,
    /// user:id post:id → `LinkRow`. As `Follows`.
    Likes,
    /// comment:id → `CommentRow`. As `Posts`.
    Comments,
    /// user:id → `LinkRow`. As `Follows`.
    Users,
    /// user:id → `Forgotten`: whoever is here has left for good, and no record brings them back. For ever.
    Forgotten,
    /// post:id → likes:i64 comments:i64 (merge: sum), the live rows of both. For ever.
    PostCounts,
    /// post:id hour:u32 → `Counters` (merge: sum), by hour of event time. 8 days.
    PostHours,
    /// user:id author:id arrival_day:u16 day:u16 → `Partial` (merge: sum, max of the last time). 97 days by `day`.
    UserAuthorDays,
    /// user:id author:id day:u16 → `Partial`, from the center: what came before this node's own log. 97 days by `day`.
    History,
    /// user:id → `Base`: when the above was taken, and how many rows it has. 97 days by that time.
    HistoryOf,
    /// partition:u32 hour:u32 event_id:16 → offset:i64 of the first. Hours of the partition's own record time.
    Dedup,
    /// topic:u8 partition:u32 offset:i64 → nothing: a repeat the node dropped, or a record that names somebody who was
    /// forgotten. Until the log no longer holds it.
    Marks,
    /// topic:u8 partition:u32 offset:i64 → `DeadLetter`. The newest `dead_letters_max`.
    DeadLetters,
    /// sequence:u64 → `SpoolRow`, an event accepted while Kafka was away. Until its record comes back from Kafka.
    Spool,
    /// user:id sequence:u64 → nothing: whose event that is. As `Spool`.
    SpoolOf,
}

impl Family {
    /// Every column family of a store.
    pub const ALL: [Self; 24] = [
        Self::Meta,
        Self::Offsets,
        Self::Posts,
        Self::AuthorPosts,
        Self::Follows,
        Self::Followers,
        Self::Blocks,
        Self::BlockedBy,
        Self::Hides,
        Self::Viewed,
        Self::Likes,
        Self::Comments,
        Self::Users,
        Self::Forgotten,
        Self::PostCounts,
        Self::PostHours,
        Self::UserAuthorDays,
        Self::History,
        Self::HistoryOf,
        Self::Dedup,
        Self::Marks,
        Self::DeadLetters,
        Self::Spool,
        Self::SpoolOf,
    ];

    /// Whether what stands here is this node's own affair and not the log's: another node that takes over a copy of the
    /// store begins without it.
    pub const fn is_node_local(self) -> bool {
        matches!(self, Self::Spool | Self::SpoolOf)
    }

    /// Whether it is read as a whole after a start, and from all over for the pages before that is done. Such a family is packed
    /// loosely: of those pages, 40 % would go into unpacking it.
    pub(crate) const fn is_read_at_a_start(self) -> bool {
        matches!(self, Self::AuthorPosts | Self::PostHours | Self::PostCounts)
    }

    /// The name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Offsets => "offsets",
            Self::Posts => "posts",
            Self::AuthorPosts => "author_posts",
            Self::Follows => "follows",
            Self::Followers => "followers",
            Self::Blocks => "blocks",
            Self::BlockedBy => "blocked_by",
            Self::Hides => "hides",
            Self::Viewed => "viewed",
            Self::Likes => "likes",
            Self::Comments => "comments",
            Self::Users => "users",
            Self::Forgotten => "forgotten",
            Self::PostCounts => "post_counts",
            Self::PostHours => "post_hours",
            Self::UserAuthorDays => "user_author_days",
            Self::History => "history",
            Self::HistoryOf => "history_of",
            Self::Dedup => "dedup",
            Self::Marks => "marks",
            Self::DeadLetters => "dead_letters",
            Self::Spool => "spool",
            Self::SpoolOf => "spool_of",
        }
    }
}

/// The longest key: two ids and two days, or author, time and post.
const CAPACITY: usize = 48;

/// One key, built on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Key {
    /// An empty key.
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }

    fn push(mut self, part: &[u8]) -> Self {
        let end = self.len + part.len();
        self.bytes[self.len..end].copy_from_slice(part);
        self.len = end;
        self
    }

    fn id(self, kind: IdKind, id: Id) -> Self {
        self.push(&id.0.to_be_bytes()[16 - kind.width()..])
    }

    /// The smallest key above every key that starts with this one; `None` when there is none.
    pub fn successor(mut self) -> Option<Self> {
        while self.len > 0 {
            if let Some(next) = self.bytes[self.len - 1].checked_add(1) {
                self.bytes[self.len - 1] = next;
                return Some(self);
            }
            self.len -= 1;
        }
        None
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Builds keys for one kind of ids.
#[derive(Clone, Copy, Debug)]
pub struct Keys(pub IdKind);

impl Keys {
    /// One id: `Posts`, `Comments`, `Users`, `Forgotten`, `PostCounts`, `HistoryOf`, and the prefix of every family led by an id.
    pub fn one(self, id: Id) -> Key {
        Key::new().id(self.0, id)
    }

    /// Two ids: `Follows`, `Followers`, `Blocks`, `BlockedBy`, `Hides`, `Viewed`, `Likes`.
    pub fn two(self, first: Id, second: Id) -> Key {
        self.one(first).id(self.0, second)
    }

    /// `Follows`, `Likes`, `Blocks`, `Users`: where a row whose key says everything stands; `None` for other rows.
    pub fn link(self, row: RowKey) -> Option<(Family, Key)> {
        Some(match row {
            RowKey::Follow(follower, following) => (Family::Follows, self.two(follower, following)),
            RowKey::Like(user, post) => (Family::Likes, self.two(user, post)),
            RowKey::Block(blocker, blocked) => (Family::Blocks, self.two(blocker, blocked)),
            RowKey::User(id) => (Family::Users, self.one(id)),
            RowKey::Post(_) | RowKey::Comment(_) => return None,
        })
    }

    /// `AuthorPosts`: newest first, ties by id, highest first.
    pub fn author_post(self, author: Id, created_at: TimestampMs, post: Id) -> Key {
        self.one(author).push(&(!ordered(created_at)).to_be_bytes()).id(self.0, complement(self.0, post))
    }

    /// `PostHours`.
    pub fn post_hour(self, post: Id, hour: Hour) -> Key {
        self.one(post).push(&hour.to_be_bytes())
    }

    /// `UserAuthorDays`.
    pub fn user_author_day(self, user: Id, author: Id, arrival: Day, day: Day) -> Key {
        self.two(user, author).push(&arrival.to_be_bytes()).push(&day.to_be_bytes())
    }

    /// `History`.
    pub fn history(self, user: Id, author: Id, day: Day) -> Key {
        self.two(user, author).push(&day.to_be_bytes())
    }

    /// `SpoolOf`.
    pub fn spool_of(self, user: Id, sequence: u64) -> Key {
        self.one(user).push(&sequence.to_be_bytes())
    }

    /// Splits a key led by `N` ids into those ids and the rest; `None` when it is too short.
    pub fn split<const N: usize>(self, key: &[u8]) -> Option<([Id; N], &[u8])> {
        let width = self.0.width();
        let (head, rest) = key.split_at_checked(width * N)?;
        let mut ids = [Id(0); N];
        for (id, bytes) in ids.iter_mut().zip(head.chunks_exact(width)) {
            *id = Id(bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)));
        }
        Some((ids, rest))
    }

    /// Reads an `AuthorPosts` key: author, creation time, post.
    pub fn split_author_post(self, key: &[u8]) -> Option<(Id, TimestampMs, Id)> {
        let ([author], rest) = self.split::<1>(key)?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let ([post], _) = self.split::<1>(rest)?;
        Some((author, unordered(!u64::from_be_bytes(*time)), complement(self.0, post)))
    }
}

/// The prefix of everything of a topic in `Offsets`, `Marks` and `DeadLetters`.
pub fn topic(topic: Topic) -> Key {
    Key::new().push(&[topic.code()])
}

/// `Offsets`, and the prefix of `Marks` and `DeadLetters`.
pub fn partition(at: TopicPartition) -> Key {
    topic(at.topic).push(&at.partition.to_be_bytes())
}

/// `Marks` and `DeadLetters`.
pub fn record(at: TopicPartition, offset: i64) -> Key {
    partition(at).push(&offset.to_be_bytes())
}

/// Reads an `Offsets`, `Marks` or `DeadLetters` key: its partition, and its offset where it has one.
pub fn split_record(key: &[u8]) -> Option<(TopicPartition, Option<i64>)> {
    let (topic, rest) = key.split_first()?;
    let (partition, rest) = rest.split_first_chunk::<4>()?;
    let topic = Topic::from_code(*topic)?;
    let at = TopicPartition { topic, partition: u32::from_be_bytes(*partition) };
    Some((at, rest.first_chunk::<8>().map(|offset| i64::from_be_bytes(*offset))))
}

/// `Dedup`.
pub fn dedup(partition: u32, bucket: Hour, event_id: u128) -> Key {
    dedup_bucket(partition, bucket).push(&event_id.to_be_bytes())
}

/// The prefix of one partition's hour in `Dedup`.
pub fn dedup_bucket(partition: u32, bucket: Hour) -> Key {
    dedup_partition(partition).push(&bucket.to_be_bytes())
}

/// The prefix of a partition in `Dedup`.
pub fn dedup_partition(partition: u32) -> Key {
    Key::new().push(&partition.to_be_bytes())
}

/// Reads a `Dedup` key: partition, hour, event id.
pub fn split_dedup(key: &[u8]) -> Option<(u32, Hour, u128)> {
    let (partition, rest) = key.split_first_chunk::<4>()?;
    let (bucket, rest) = rest.split_first_chunk::<4>()?;
    let id = rest.first_chunk::<16>()?;
    Some((u32::from_be_bytes(*partition), u32::from_be_bytes(*bucket), u128::from_be_bytes(*id)))
}

/// `Meta`: a name and one byte.
pub fn meta(name: &str, code: u8) -> Key {
    Key::new().push(name.as_bytes()).push(&[code])
}

/// `Meta`: a name and a partition.
pub fn meta_of(name: &str, at: TopicPartition) -> Key {
    Key::new().push(name.as_bytes()).push(partition(at).as_ref())
}

/// `Meta`: where this node's own history begins in a partition of `events`.
pub fn begin(partition: u32) -> Key {
    begins().push(&partition.to_be_bytes())
}

/// The prefix of every [`begin`].
pub fn begins() -> Key {
    Key::new().push(b"begin")
}

/// Reads a [`begin`] key: its partition.
pub fn split_begin(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.strip_prefix(b"begin")?.first_chunk::<4>()?))
}

/// `Spool`.
pub fn spool(sequence: u64) -> Key {
    Key::new().push(&sequence.to_be_bytes())
}

/// Reads the sequence number that a `Spool` or `SpoolOf` key ends in.
pub fn split_spool(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk::<8>()?))
}

/// A signed time as an unsigned number of the same order.
const fn ordered(time: TimestampMs) -> u64 {
    time.cast_unsigned() ^ (1 << 63)
}

const fn unordered(number: u64) -> TimestampMs {
    (number ^ (1 << 63)).cast_signed()
}

/// The complement of an id within its width, so that higher ids sort first.
const fn complement(kind: IdKind, id: Id) -> Id {
    match kind {
        IdKind::Uuid => Id(!id.0),
        IdKind::U64 => Id(id.0 ^ 0xffff_ffff_ffff_ffff),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_id(kind: IdKind) -> impl Strategy<Value = Id> {
        any::<u128>().prop_map(move |number| match kind {
            IdKind::Uuid => Id(number),
            IdKind::U64 => Id(number & u128::from(u64::MAX)),
        })
    }

    fn kinds() -> impl Strategy<Value = (IdKind, Id, Id)> {
        prop_oneof![Just(IdKind::Uuid), Just(IdKind::U64)]
            .prop_flat_map(|kind| (Just(kind), any_id(kind), any_id(kind)))
    }

    proptest! {
        #[test]
        fn author_posts_order_newest_first_then_highest_id((kind, one, other) in kinds(), a: i64, b: i64) {
            let keys = Keys(kind);
            let (left, right) = (keys.author_post(Id(1), a, one), keys.author_post(Id(1), b, other));
            prop_assert_eq!(left.as_ref().cmp(right.as_ref()), (b, other).cmp(&(a, one)));
            prop_assert_eq!(keys.split_author_post(left.as_ref()), Some((Id(1), a, one)));
        }

        #[test]
        fn ids_order_as_numbers_and_come_back((kind, one, other) in kinds()) {
            let keys = Keys(kind);
            prop_assert_eq!(keys.one(one).as_ref().cmp(keys.one(other).as_ref()), one.cmp(&other));
            let key = keys.user_author_day(one, other, 7, 9);
            let (ids, rest) = keys.split::<2>(key.as_ref()).unwrap();
            prop_assert_eq!((ids, rest), ([one, other], &[0, 7, 0, 9][..]));
        }

        #[test]
        fn record_keys_come_back(partition: u32, offset in 0..i64::MAX) {
            let at = TopicPartition { topic: Topic::Likes, partition };
            prop_assert_eq!(split_record(record(at, offset).as_ref()), Some((at, Some(offset))));
        }

        #[test]
        fn dedup_keys_come_back(partition: u32, bucket: u32, id: u128) {
            prop_assert_eq!(split_dedup(dedup(partition, bucket, id).as_ref()), Some((partition, bucket, id)));
        }
    }

    #[test]
    fn history_and_begin_keys_come_back() {
        let key = Keys(IdKind::Uuid).history(Id(1), Id(u128::MAX), 9);
        let (ids, rest) = Keys(IdKind::Uuid).split::<2>(key.as_ref()).unwrap();
        assert_eq!((ids, rest), ([Id(1), Id(u128::MAX)], &[0, 9][..]));
        assert_eq!(split_begin(begin(7).as_ref()), Some(7));
        assert_eq!(split_begin(meta("versions", 2).as_ref()), None);
    }

    #[test]
    fn a_successor_is_above_every_key_of_the_prefix() {
        let prefix = Key::new().push(&[1, 0xff, 0xff]);
        let above = prefix.successor().unwrap();
        assert_eq!(above.as_ref(), [2]);
        assert!(Key::new().push(&[0xff]).successor().is_none());
    }

    #[test]
    fn spool_keys_order_by_sequence_and_come_back() {
        assert!(spool(255).as_ref() < spool(256).as_ref());
        assert_eq!(split_spool(spool(7).as_ref()), Some(7));
        let key = Keys(IdKind::U64).spool_of(Id(3), u64::MAX);
        assert_eq!(split_spool(key.as_ref()), Some(u64::MAX));
        assert_eq!(Keys(IdKind::U64).split::<1>(key.as_ref()).map(|([user], _)| user), Some(Id(3)));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(Keys(IdKind::Uuid).split::<2>(&[0; 31]).is_none());
        assert!(Keys(IdKind::U64).split_author_post(&[0; 23]).is_none());
        assert!(split_record(&[9, 0, 0, 0, 0]).is_none());
    }
}
