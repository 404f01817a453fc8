//! Additive values and their merge operators: counters, partials, row counts, times.
//!
//! Fixed little-endian layouts behind a version byte, not bincode: a merge runs on every event and must not parse.

use crate::error::Result;
use crate::key::Family;
use crate::model::{Counters, TimestampMs};
use crate::value::damaged;

/// The version byte in front of every additive value.
const VERSION: u8 = 1;

/// What one reader did with one author's posts on one day, as it arrived on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// The counts.
    pub counters: Counters,
    /// The highest event time among them.
    pub last_time: TimestampMs,
}

impl Partial {
    /// Adds another partial of the same key.
    pub fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        self.last_time = self.last_time.max(other.last_time);
    }
}

/// Live rows of `likes` and `comments` about one post; as a merge operand, a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Live rows of `likes`.
    pub likes: i64,
    /// Live rows of `comments`.
    pub comments: i64,
}

/// A value that merges by adding.
pub(crate) trait Additive: Sized + Default {
    /// Bytes after the version byte.
    const LEN: usize;
    fn write(&self, bytes: &mut Vec<u8>);
    /// Reads exactly `LEN` bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
    fn merge(&mut self, other: &Self);
}

/// Takes a fixed number of bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

impl Additive for Counters {
    const LEN: usize = 28;

    fn write(&self, bytes: &mut Vec<u8>) {
        for count in [self.views, self.impressions, self.likes, self.comments, self.shares] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes.extend_from_slice(&self.dwell_ms.to_le_bytes());
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        Some(Self {
            views: u32::from_le_bytes(take(bytes)?),
            impressions: u32::from_le_bytes(take(bytes)?),
            likes: u32::from_le_bytes(take(bytes)?),
            comments: u32::from_le_bytes(take(bytes)?),
            shares: u32::from_le_bytes(take(bytes)?),
            dwell_ms: u64::from_le_bytes(take(bytes)?),
        })
    }

    fn merge(&mut self, other: &Self) {
        self.add(other);
    }
}

impl Additive for Partial {
    const LEN: usize = Counters::LEN + 8;

    fn write(&self, bytes: &mut Vec<u8>) {
        self.counters.write(bytes);
        bytes.extend_from_slice(&self.last_time.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (counters, mut rest) = bytes.split_at_checked(Counters::LEN)?;
        Some(Self { counters: Counters::read(counters)?, last_time: i64::from_le_bytes(take(&mut rest)?) })
    }

    fn merge(&mut self, other: &Self) {
        self.add(other);
    }
}

impl Additive for RowCounts {
    const LEN: usize = 16;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.likes.to_le_bytes());
        bytes.extend_from_slice(&self.comments.to_le_bytes());
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        Some(Self { likes: i64::from_le_bytes(take(bytes)?), comments: i64::from_le_bytes(take(bytes)?) })
    }

    fn merge(&mut self, other: &Self) {
        self.likes = self.likes.saturating_add(other.likes);
        self.comments = self.comments.saturating_add(other.comments);
    }
}

/// A time that merges by taking the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latest(pub(crate) TimestampMs);

impl Default for Latest {
    fn default() -> Self {
        Self(TimestampMs::MIN)
    }
}

impl Additive for Latest {
    const LEN: usize = 8;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.to_le_bytes());
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        Some(Self(i64::from_le_bytes(take(&mut bytes)?)))
    }

    fn merge(&mut self, other: &Self) {
        self.0 = self.0.max(other.0);
    }
}

/// A value ready to be stored or merged.
pub(crate) fn encode<T: Additive>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + T::LEN);
    bytes.push(VERSION);
    value.write(&mut bytes);
    bytes
}

fn parse<T: Additive>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&VERSION, body)) if body.len() == T::LEN => T::read(body),
        _ => None,
    }
}

/// Reads a stored value of `family`.
pub(crate) fn decode<T: Additive>(family: Family, bytes: &[u8]) -> Result<T> {
    parse(bytes).ok_or_else(|| damaged(family, "not an additive value of this version"))
}

/// The merge function of a family of `T`. An unreadable operand fails the merge, which RocksDB reports as corruption.
pub(crate) fn merge<T: Additive>(
    _key: &[u8],
    existing: Option<&[u8]>,
    operands: &rocksdb::MergeOperands,
) -> Option<Vec<u8>> {
    let mut sum = match existing {
        Some(bytes) => parse::<T>(bytes)?,
        None => T::default(),
    };
    for operand in operands {
        sum.merge(&parse::<T>(operand)?);
    }
    Some(encode(&sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Additive + PartialEq + std::fmt::Debug>(value: T) {
        let bytes = encode(&value);
        assert_eq!(bytes.len(), 1 + T::LEN);
        assert_eq!(parse::<T>(&bytes).as_ref(), Some(&value));
        assert_eq!(parse::<T>(&bytes[..T::LEN]), None, "a short value is refused");
        let mut foreign = bytes;
        foreign[0] = VERSION + 1;
        assert_eq!(parse::<T>(&foreign), None, "another version is refused");
    }

    #[test]
    fn additive_values_come_back_and_damaged_ones_are_refused() {
        let counters = Counters { views: 1, impressions: 2, likes: 3, comments: 4, shares: 5, dwell_ms: u64::MAX };
        round_trip(counters);
        round_trip(Partial { counters, last_time: -7 });
        round_trip(RowCounts { likes: -1, comments: i64::MAX });
        round_trip(Latest(i64::MIN));
    }
}
