//! Trending: decayed interactions of the hourly buckets a window touches.

use std::array;
use std::sync::LazyLock;

use edgefeed_storage::PostFacts;
use edgefeed_storage::model::{Counters, Hour, Id, TimestampMs, hour_of};

/// A window of trending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last hour.
    Hour,
    /// The last 24 hours: the one candidates are taken from.
    Day,
    /// The last 7 days.
    Week,
}

/// The hourly buckets of the longest window: the one its beginning falls in, and all up to the running one.
const BUCKETS: usize = 169;

/// What whole hours leave of a score, by window. Raising to a power costs more than all the rest of a pass.
static DECAYS: LazyLock<[[f64; BUCKETS]; Window::ALL.len()]> =
    LazyLock::new(|| Window::ALL.map(|window| array::from_fn(|hours| window.decay().powf(hours as f64))));

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// Its name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Hours the window spans.
    pub const fn hours(self) -> Hour {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 168,
        }
    }

    /// What an hour leaves of a score.
    pub const fn decay(self) -> f64 {
        match self {
            Self::Hour => 0.90,
            Self::Day => 0.95,
            Self::Week => 0.98,
        }
    }

    /// The first hourly bucket that the window ending at `now_ms` touches.
    pub fn first_hour(self, now_ms: TimestampMs) -> Hour {
        hour_of(now_ms - i64::from(self.hours()) * edgefeed_storage::model::HOUR_MS)
    }
}

/// A post's standing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trending {
    /// The post.
    pub id: Id,
    /// When it was written.
    pub created_at: TimestampMs,
    /// Its decayed interactions; above 0.
    pub score: f64,
}

/// What one hour's events are worth before decay.
fn worth(counters: &Counters) -> f64 {
    0.1 * f64::from(counters.views)
        + 2.0 * f64::from(counters.likes)
        + 3.0 * f64::from(counters.comments)
        + 5.0 * f64::from(counters.shares)
}

/// A post's standing in a window; `None` when no event of the window counts for it.
pub fn standing(post: &PostFacts, window: Window, now_ms: TimestampMs) -> Option<Trending> {
    let [standing] = standings_in(post, [window], now_ms);
    standing
}

/// A post's standing in each window, by [`Window::ALL`]. They stay the same while its hours and the one that runs do.
pub fn standings(post: &PostFacts, now_ms: TimestampMs) -> [Option<Trending>; Window::ALL.len()] {
    standings_in(post, Window::ALL, now_ms)
}

/// One walk over the post's hours: they lie apart in memory, and to get there takes longer than the sums.
fn standings_in<const N: usize>(post: &PostFacts, windows: [Window; N], now_ms: TimestampMs) -> [Option<Trending>; N] {
    let now = hour_of(now_ms);
    let firsts = windows.map(|window| window.first_hour(now_ms));
    let mut scores = [0.0; N];
    for (hour, counters) in post.hours(firsts.into_iter().min().unwrap_or(now), now) {
        let worth = worth(&counters);
        for ((score, first), window) in scores.iter_mut().zip(firsts).zip(windows) {
            if hour >= first {
                *score += worth * DECAYS[window as usize][(now - hour) as usize];
            }
        }
    }
    scores.map(|score| (score > 0.0).then(|| Trending { id: post.id(), created_at: post.created_at(), score }))
}

/// Best first: score, then creation time, then id, all descending.
pub fn best_first(left: &Trending, right: &Trending) -> std::cmp::Ordering {
    let ties = || (right.created_at, right.id).cmp(&(left.created_at, left.id));
    right.score.total_cmp(&left.score).then_with(ties)
}
