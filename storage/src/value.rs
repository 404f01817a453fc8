//! Values on disk: a version byte, then bincode. The only file that names bincode.
//!
//! bincode is unmaintained and pinned (see deny.toml); to leave it, give the new encoding the next version byte here.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Result, StoreError};
use crate::key::Family;
use crate::model::{Day, DeadReason, Event, Id, TimestampMs, VersionKind};

/// The version byte in front of every bincode value, of every family but those of [`version_of`].
const VERSION: u8 = 1;

/// The version of a family's values.
const fn version_of(family: Family) -> u8 {
    match family {
        // 2: with who wrote it.
        Family::Comments => 2,
        _ => VERSION,
    }
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
}

/// A value ready to be stored.
pub(crate) fn encode<T: Serialize>(family: Family, value: &T) -> Result<Vec<u8>> {
    let mut bytes = vec![version_of(family)];
    bincode::serde::encode_into_std_write(value, &mut bytes, config())
        .map_err(|error| damaged(family, &error.to_string()))?;
    Ok(bytes)
}

/// Reads a value of `family`; another version byte, missing or left-over bytes are damage.
pub(crate) fn decode<T: DeserializeOwned>(family: Family, bytes: &[u8]) -> Result<T> {
    let grown;
    let body = match bytes.split_first() {
        Some((version, body)) if *version == version_of(family) => body,
        // A comment of version 1 ends before the optional user; `None` is one zero byte.
        Some((1, body)) if family == Family::Comments => {
            grown = [body, &[0]].concat();
            &grown
        }
        Some((other, _)) => return Err(damaged(family, &format!("unknown value version {other}"))),
        None => return Err(damaged(family, "empty value")),
    };
    match bincode::serde::decode_from_slice(body, config()) {
        Ok((value, used)) if used == body.len() => Ok(value),
        Ok((_, used)) => Err(damaged(family, &format!("{} bytes too many", body.len() - used))),
        Err(error) => Err(damaged(family, &error.to_string())),
    }
}

pub(crate) fn damaged(family: Family, detail: &str) -> StoreError {
    StoreError::Damaged { family: family.name(), detail: detail.to_owned() }
}

/// A row of `posts`, live or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostRow {
    /// Packed version of the last change.
    pub version: u64,
    /// When the row was deleted (commit time); `None` while it exists.
    pub removed: Option<TimestampMs>,
    /// Whether `deleted_at` is set.
    pub hidden: bool,
    /// Author and creation time; unknown when only a delete was ever seen.
    pub author: Option<(Id, TimestampMs)>,
}

impl PostRow {
    /// Author and creation time, if the post is there for readers.
    pub fn live(&self) -> Option<(Id, TimestampMs)> {
        self.author.filter(|_| self.removed.is_none() && !self.hidden)
    }
}

/// A row whose key says everything: a follow, a block, a like, a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Packed version of the last change.
    pub version: u64,
    /// When the row was deleted (commit time); `None` while it exists.
    pub removed: Option<TimestampMs>,
}

/// A row of `comments`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentRow {
    /// Packed version of the last change.
    pub version: u64,
    /// When the row was deleted (commit time); `None` while it exists.
    pub removed: Option<TimestampMs>,
    /// The post; unknown when only a delete was ever seen.
    pub post: Option<Id>,
    /// Who wrote it; unknown also of rows from before this was kept, until they change.
    pub user: Option<Id>,
}

impl CommentRow {
    /// The post this comment counts for, while it exists.
    pub fn live(&self) -> Option<Id> {
        self.post.filter(|_| self.removed.is_none())
    }
}

/// A user who was forgotten. Says so for ever, so that neither a replay nor an old backup brings anything back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Records of theirs that came into Kafka from then on count for nothing; earlier ones for the posts they are about.
    pub at: TimestampMs,
    /// Whether all that was kept of them here is gone.
    pub swept: bool,
    /// Whether the center knows, and holds nothing of them any more.
    pub told: bool,
}

/// How far the row versions of one topic have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionMark {
    /// `kafka.cdc_epoch` of the records seen.
    pub epoch: u8,
    /// The kind of version this topic uses.
    pub kind: VersionKind,
    /// The highest value seen.
    pub value: u64,
    /// The highest commit time seen.
    pub commit_time: TimestampMs,
    /// The packed version of the last truncate applied: no row of it or below comes to life, in whatever order
    /// partitions are read. 0 where there was none.
    pub floor: u64,
}

/// Where this node's own history begins in a partition of `events`: everything below is the center's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The first offset applied; of a partition found empty, the offset its first record will have at least.
    pub offset: i64,
    /// Kafka's time of that record, at most 5 min ahead of this node's clock; `None` while there was none.
    pub time: Option<TimestampMs>,
}

/// How the center's part of a reader's history was last taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// When the center was asked.
    pub as_of_ms: TimestampMs,
    /// How many rows it had: 0 when everything known of the reader came to this node itself.
    pub rows: u32,
    /// The first arrival day that is this node's own to know: everything before it is in the base, and of it nothing is
    /// kept beside. `None`: the base ends where this node's own log begins ([`Begin`]).
    pub own_from: Option<Day>,
}

/// Reads a [`Base`]; before there were days of their own in it, it had two fields.
pub(crate) fn decode_base(family: Family, bytes: &[u8]) -> Result<Base> {
    decode(family, bytes).or_else(|error| match decode::<(TimestampMs, u32)>(family, bytes) {
        Ok((as_of_ms, rows)) => Ok(Base { as_of_ms, rows, own_from: None }),
        Err(_) => Err(error),
    })
}

/// A record that could not be used, kept whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The class of the fault.
    pub reason: DeadReason,
    /// What exactly was wrong.
    pub detail: String,
    /// Kafka's record time.
    pub time: TimestampMs,
    /// The record's key, as it came.
    pub key: Option<Vec<u8>>,
    /// The record's value, as it came.
    pub value: Option<Vec<u8>>,
}

/// An event accepted while Kafka was away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpoolRow {
    /// What it says.
    pub(crate) event: Event,
    /// When it was accepted.
    pub(crate) at: TimestampMs,
    /// The value its record in Kafka will have.
    pub(crate) value: Vec<u8>,
    /// Partition and offset of that record, once Kafka has acknowledged it.
    pub(crate) sent: Option<(u32, i64)>,
}

/// What can be told of a dead letter without reading its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LetterHead {
    pub(crate) reason: DeadReason,
    pub(crate) detail: String,
    pub(crate) time: TimestampMs,
    pub(crate) value_bytes: u64,
}

/// Reads the front of a [`DeadLetter`]: the fields up to the value, and of that its length alone.
pub(crate) fn letter_head(bytes: &[u8]) -> Result<LetterHead> {
    type Front = (DeadReason, String, TimestampMs, Option<Vec<u8>>);
    let family = Family::DeadLetters;
    let body = match bytes.split_first() {
        Some((&VERSION, body)) => body,
        _ => return Err(damaged(family, "unknown value version")),
    };
    let unread = |error: bincode::error::DecodeError| damaged(family, &error.to_string());
    let ((reason, detail, time, _), used) =
        bincode::serde::decode_from_slice::<Front, _>(body, config()).map_err(unread)?;
    // A sequence is its length and then its items.
    let (length, _) = bincode::serde::decode_from_slice::<Option<u64>, _>(&body[used..], config()).map_err(unread)?;
    Ok(LetterHead { reason, detail, time, value_bytes: length.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_a_cut_long_or_foreign_one_is_damage() {
        let row =
            PostRow { version: 7 << 56, removed: Some(-1), hidden: true, author: Some((Id(u128::MAX), i64::MIN)) };
        let bytes = encode(Family::Posts, &row).unwrap();
        assert_eq!(decode::<PostRow>(Family::Posts, &bytes).unwrap(), row);
        for cut in 0..bytes.len() {
            assert!(decode::<PostRow>(Family::Posts, &bytes[..cut]).is_err());
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(decode::<PostRow>(Family::Posts, &long).is_err());
        let mut newer = bytes;
        newer[0] = VERSION + 1;
        let error = decode::<PostRow>(Family::Posts, &newer).unwrap_err().to_string();
        assert!(error.contains("posts") && error.contains("version 2"), "{error}");
    }

    #[test]
    fn a_comment_from_before_its_user_was_kept_is_still_read() {
        // `version` 300, live, of post 7: as the version before this one wrote it.
        let old = [1, 251, 44, 1, 0, 1, 7];
        let row = CommentRow { version: 300, removed: None, post: Some(Id(7)), user: None };
        assert_eq!(decode::<CommentRow>(Family::Comments, &old).unwrap(), row);
        let row = CommentRow { user: Some(Id(9)), ..row };
        assert_eq!(decode::<CommentRow>(Family::Comments, &encode(Family::Comments, &row).unwrap()).unwrap(), row);
        assert!(decode::<PostRow>(Family::Posts, &[2, 0, 0, 0, 0]).is_err(), "of other families there is one version");
    }

    #[test]
    fn a_base_of_an_earlier_version_is_read_as_one_that_ends_where_the_log_begins() {
        let family = Family::HistoryOf;
        let old = encode(family, &(1_795_376_817_860_i64, 70_000_u32)).unwrap();
        let read = Base { as_of_ms: 1_795_376_817_860, rows: 70_000, own_from: None };
        assert_eq!(decode_base(family, &old).unwrap(), read);
        for own_from in [None, Some(20_779)] {
            let base = Base { own_from, ..read };
            assert_eq!(decode_base(family, &encode(family, &base).unwrap()).unwrap(), base);
        }
        assert!(decode_base(family, &old[..3]).is_err());
    }

    #[test]
    fn the_head_of_a_dead_letter_is_its_front() {
        for value in [None, Some(vec![]), Some(vec![7; 300]), Some(vec![0xff; 70_000])] {
            let letter = DeadLetter {
                reason: DeadReason::BadId,
                detail: "\u{e9}t\u{e9}".to_owned(),
                time: -5,
                key: Some(b"k".to_vec()),
                value,
            };
            let head = letter_head(&encode(Family::DeadLetters, &letter).unwrap()).unwrap();
            let length = letter.value.as_ref().map_or(0, Vec::len) as u64;
            let expected = LetterHead { reason: letter.reason, detail: letter.detail, time: -5, value_bytes: length };
            assert_eq!(head, expected);
        }
        assert!(letter_head(&[]).is_err() && letter_head(&[VERSION, 0]).is_err());
    }
}
