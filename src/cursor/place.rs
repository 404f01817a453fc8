//! The places a chain of pages can stand at, a kind each.

use edgefeed_storage::model::{Id, TimestampMs};

use super::rank::Rank;
use super::served::Served;
use crate::ranking::Preset;

/// The codes of places in cursors; codes never change. The first is [`Place::Newest`] of PostgreSQL and nothing else.
const POSTGRES: u8 = 1;
const RANKED: u8 = 2;
const TRENDING: u8 = 3;
const NEWEST: u8 = 4;

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// In a chain newest first.
    Newest(Newest),
    /// In a chain by score.
    Ranked(Ranked),
    /// In a chain of trending posts.
    Trending(Rank),
}

/// A place in a chain newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The last post shown.
    pub below: Keyset,
    /// Who lists its posts, while that one can.
    pub began: Began,
    /// By which numbers its posts are scored.
    pub preset: Preset,
    /// What the chain showed in another order before.
    pub served: Served,
}

/// Who began a chain newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// A store, for a reader who wants that order.
    Store,
    /// PostgreSQL, in place of a store.
    Postgres,
}

/// A place in a chain by score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// The pin that holds its order, on the node that made it.
    pub pin: u64,
    /// How far the chain is in that order.
    pub at: u16,
    /// By which numbers it is ranked.
    pub preset: Preset,
    /// Whether what the reader was served before stands after all others.
    pub refresh: bool,
    /// What the chain has shown.
    pub served: Served,
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

    /// Above every post that is not dated ahead.
    pub fn top(now_ms: TimestampMs) -> Self {
        Self::exact((now_ms + 1).saturating_mul(1_000), Id(0))
    }

    /// Whether a post of the store is one the chain cannot have shown.
    ///
    /// Of the posts of the very millisecond an exact place lies in, the store cannot tell which side they are on: they
    /// are left out. A gap, and never a repeat.
    pub fn is_above(&self, created_at: TimestampMs, id: Id) -> bool {
        let own_ms = self.created_us.div_euclid(1_000);
        if self.exact { created_at < own_ms } else { (created_at, id) < (own_ms, self.id) }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.created_us.to_be_bytes());
        bytes.extend_from_slice(&self.id.0.to_be_bytes());
        bytes.push(u8::from(self.exact));
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (created_us, bytes) = bytes.split_first_chunk()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        let (exact, bytes) = flag(bytes)?;
        let (created_us, id) = (i64::from_be_bytes(*created_us), Id(u128::from_be_bytes(*id)));
        Some((Self { created_us, id, exact }, bytes))
    }
}

impl Newest {
    /// Whether the first code says it all.
    fn is_plain(&self) -> bool {
        self.began == Began::Postgres && self.preset == Preset::Balanced && self.served.is_empty()
    }
}

impl Place {
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Newest(place) if place.is_plain() => {
                bytes.push(POSTGRES);
                place.below.write(bytes);
            }
            Self::Newest(place) => {
                bytes.push(NEWEST);
                place.below.write(bytes);
                bytes.push(u8::from(place.began == Began::Postgres));
                bytes.push(place.preset.code());
                place.served.write(bytes);
            }
            Self::Ranked(place) => {
                bytes.push(RANKED);
                bytes.extend_from_slice(&place.pin.to_be_bytes());
                bytes.extend_from_slice(&place.at.to_be_bytes());
                bytes.push(place.preset.code());
                bytes.push(u8::from(place.refresh));
                place.served.write(bytes);
            }
            Self::Trending(rank) => {
                bytes.push(TRENDING);
                rank.write(bytes);
            }
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&POSTGRES, bytes) => {
                let (below, rest) = Keyset::read(bytes)?;
                let (began, preset, served) = (Began::Postgres, Preset::Balanced, Served::default());
                rest.is_empty().then_some(Self::Newest(Newest { below, began, preset, served }))
            }
            (&NEWEST, bytes) => {
                let (below, bytes) = Keyset::read(bytes)?;
                let (postgres, bytes) = flag(bytes)?;
                let (preset, bytes) = bytes.split_first()?;
                let began = if postgres { Began::Postgres } else { Began::Store };
                let (preset, served) = (Preset::of_code(*preset)?, Served::read(bytes)?);
                Some(Self::Newest(Newest { below, began, preset, served }))
            }
            (&RANKED, bytes) => {
                let (pin, bytes) = bytes.split_first_chunk()?;
                let (at, bytes) = bytes.split_first_chunk()?;
                let (preset, bytes) = bytes.split_first()?;
                let (refresh, bytes) = flag(bytes)?;
                let (pin, at) = (u64::from_be_bytes(*pin), u16::from_be_bytes(*at));
                let (preset, served) = (Preset::of_code(*preset)?, Served::read(bytes)?);
                Some(Self::Ranked(Ranked { pin, at, preset, refresh, served }))
            }
            (&TRENDING, bytes) => Rank::read(bytes).map(Self::Trending),
            _ => None,
        }
    }
}

fn flag(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let (flag, rest) = bytes.split_first()?;
    (*flag < 2).then_some((*flag == 1, rest))
}
