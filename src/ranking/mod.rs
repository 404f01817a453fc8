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

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_storage::{AuthorNo, PostNo};

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
    pub const fn names(self) -> &'static [&'static str] {
        match (self.has(Self::FOLLOWED), self.has(Self::TRENDING), self.has(Self::AFFINITY)) {
            (true, true, true) => &["followed", "trending", "affinity"],
            (true, true, false) => &["followed", "trending"],
            (true, false, true) => &["followed", "affinity"],
            (true, false, false) => &["followed"],
            (false, true, true) => &["trending", "affinity"],
            (false, true, false) => &["trending"],
            (false, false, true) => &["affinity"],
            (false, false, false) => &[],
        }
    }

    const fn has(self, source: Self) -> bool {
        self.0 & source.0 != 0
    }
}

/// One post with its score and what it was made of.
#[derive(Clone, Copy, Debug)]
pub struct Ranked {
    /// The post.
    pub id: Id,
    /// Where in memory it is.
    pub at: PostNo,
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

/// Puts them best first: what was not served lately, then score, then creation time, then id, all descending. A total
/// order: scores are never NaN. Whole numbers are sorted in place of the posts, which would cost several times as much.
pub fn best_first(posts: &[Ranked]) -> Vec<Ranked> {
    let mut keys: Vec<u128> = posts.iter().enumerate().map(|(at, post)| descending(post) << 32 | at as u128).collect();
    keys.sort_unstable();
    let at = |key: &u128| usize::try_from(key & u128::from(u32::MAX)).ok();
    let mut sorted: Vec<Ranked> = keys.iter().filter_map(|key| posts.get(at(key)?).copied()).collect();
    for tied in sorted.chunk_by_mut(|left, right| descending(left) == descending(right)).filter(|tied| tied.len() > 1) {
        tied.sort_unstable_by(newest_first);
    }
    sorted
}

/// A number that is the lower, the better a post stands but for its time and id: in the order of `f64::total_cmp`.
fn descending(post: &Ranked) -> u128 {
    let bits = post.score.to_bits();
    let ascending = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    u128::from(post.served) << 64 | u128::from(!ascending)
}

/// Newest first, ties by id, highest first.
pub fn newest_first(left: &Ranked, right: &Ranked) -> std::cmp::Ordering {
    (right.created_at, right.id).cmp(&(left.created_at, left.id))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    /// The order as the contract words it.
    fn in_words(left: &Ranked, right: &Ranked) -> Ordering {
        let scores = || right.score.total_cmp(&left.score);
        left.served.cmp(&right.served).then_with(scores).then_with(|| newest_first(left, right))
    }

    proptest! {
        #[test]
        fn sorting_by_numbers_is_sorting_by_the_order_in_words(
            posts in prop::collection::vec((0u8..6, -3i64..3, any::<f64>(), any::<bool>()), 0..200),
        ) {
            let scores = [0.0, -0.0, 1.5, -1.5, f64::MIN_POSITIVE];
            let post = |(id, (which, created_at, any, served)): (usize, (u8, i64, f64, bool))| Ranked {
                id: Id(id as u128 * 7_919 % 211),
                at: PostNo::from(0),
                author: AuthorNo::from(0),
                created_at,
                sources: Sources::default(),
                terms: score::Terms { freshness: 0.0, engagement: 0.0, affinity: 0.0 },
                score: scores.get(usize::from(which)).copied().unwrap_or(any),
                served,
            };
            let posts: Vec<Ranked> = posts.into_iter().enumerate().map(post).collect();
            let ids = |posts: &[Ranked]| posts.iter().map(|post| post.id).collect::<Vec<_>>();
            let mut expected = posts.clone();
            expected.sort_unstable_by(in_words);
            prop_assert_eq!(ids(&best_first(&posts)), ids(&expected));
        }
    }
}
