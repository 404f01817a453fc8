//! How posts are ordered: pure and synchronous. `now_ms` is an argument; no clock, no IO, no lock.
//!
//! The steps of a request, each a file: [`filter`] (what may be shown at all), [`score`] (one number a post),
//! [`select`] (who stands where), with [`trending`] as a source of its own and [`config`] for every number in it, of which
//! presets and an experiment make other sets.

pub mod config;
mod experiment;
pub mod filter;
mod preset;
pub mod score;
pub mod select;
pub mod trending;

use edgefeed_storage::AuthorNo;
use edgefeed_storage::model::{Id, TimestampMs};

pub use config::Config;
pub use experiment::Experiment;
pub use preset::{Overrides, Preset};

/// The candidate sources a post came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources(u8);

impl Sources {
    /// Written by somebody the viewer follows.
    pub const FOLLOWED: Self = Self(1);
    /// Among the trending posts.
    pub const TRENDING: Self = Self(2);
    /// Written by somebody of high affinity.
    pub const AFFINITY: Self = Self(4);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All of them in one byte, of which the highest bit is free.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The sources of [`Sources::bits`].
    pub const fn of_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The names used in answers, in a fixed order.
    pub fn names(self) -> Vec<&'static str> {
        [(Self::FOLLOWED, "followed"), (Self::TRENDING, "trending"), (Self::AFFINITY, "affinity")]
            .into_iter()
            .filter(|(source, _)| self.0 & source.0 != 0)
            .map(|(_, name)| name)
            .collect()
    }
}

/// One post with its score and what it was made of.
#[derive(Clone, Copy, Debug)]
pub struct Ranked {
    /// The post.
    pub id: Id,
    /// Its author.
    pub author: AuthorNo,
    /// When it was written.
    pub created_at: TimestampMs,
    /// Where it came from.
    pub sources: Sources,
    /// The three terms, unweighted.
    pub terms: score::Terms,
    /// What it is ranked by.
    pub score: f64,
    /// Whether it stands after all that were not served to the viewer lately.
    pub served: bool,
}

/// Best first: what was not served lately, then score, then creation time, then id, all descending. A total order: scores
/// are never NaN.
pub fn by_score(left: &Ranked, right: &Ranked) -> std::cmp::Ordering {
    let scores = || right.score.total_cmp(&left.score);
    left.served.cmp(&right.served).then_with(scores).then_with(|| newest_first(left, right))
}

/// Newest first, ties by id, highest first.
pub fn newest_first(left: &Ranked, right: &Ranked) -> std::cmp::Ordering {
    (right.created_at, right.id).cmp(&(left.created_at, left.id))
}
