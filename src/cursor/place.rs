//! The places a chain of pages can stand at, a kind each.

use edgefeed_storage::model::{Id, TimestampMs};

use super::rank::Rank;

/// The code of [`Place::Newest`] in cursors; codes never change.
const NEWEST: u8 = 1;
/// The code of [`Place::Trending`].
const TRENDING: u8 = 3;

/// Where a chain stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// In a chain newest first, which PostgreSQL began.
    Newest(Keyset),
    /// In a chain of trending posts.
    Trending(Rank),
}

/// The last post a chain newest first has shown: it goes on below. Ties are ordered by id, highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyset {
    /// When the post was written, in microseconds since 1970.
    pub created_us: i64,
    /// The post.
    pub id: Id,
    /// Whether its microseconds are known: PostgreSQL's are, the store keeps milliseconds.
    pub exact: bool,
}

impl Keyset {
    /// A place that PostgreSQL gave.
    pub fn exact(created_us: i64, id: Id) -> Self {
        Self { created_us, id, exact: true }
    }

    /// A place that the store gave.
    pub fn coarse(created_at: TimestampMs, id: Id) -> Self {
        Self { created_us: created_at.saturating_mul(1_000), id, exact: false }
    }

    /// Whether a post of the store is one the chain cannot have shown.
    ///
    /// Of the posts of the very millisecond an exact place lies in, the store cannot tell which side they are on: they
    /// are left out. A gap, and never a repeat.
    pub fn is_above(&self, created_at: TimestampMs, id: Id) -> bool {
        let own_ms = self.created_us.div_euclid(1_000);
        if self.exact { created_at < own_ms } else { (created_at, id) < (own_ms, self.id) }
    }
}

impl Place {
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Newest(key) => {
                bytes.push(NEWEST);
                bytes.extend_from_slice(&key.created_us.to_be_bytes());
                bytes.extend_from_slice(&key.id.0.to_be_bytes());
                bytes.push(u8::from(key.exact));
            }
            Self::Trending(rank) => {
                bytes.push(TRENDING);
                rank.write(bytes);
            }
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&NEWEST, bytes) => Keyset::read(bytes).map(Self::Newest),
            (&TRENDING, bytes) => Rank::read(bytes).map(Self::Trending),
            _ => None,
        }
    }
}

impl Keyset {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (created_us, bytes) = bytes.split_first_chunk()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        let exact = match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let (created_us, id) = (i64::from_be_bytes(*created_us), Id(u128::from_be_bytes(*id)));
        Some(Self { created_us, id, exact })
    }
}
