//! The trending posts of an hour, a day and a week: found by a job, served from memory.

mod pages;
mod standings;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use edgefeed_storage::model::TimestampMs;
use edgefeed_storage::{Seen, Store};
use parking_lot::Mutex;

use crate::ranking::trending::{Trending, Window};
use standings::Standings;

pub use pages::{TrendingPage, TrendingPages, TrendingPost, TrendingRequest};

/// Posts kept of a window: many times what a page takes, so that a viewer who may not see most of them still finds
/// enough.
const KEPT: usize = 5_000;

/// The posts of highest standing in each window, best first.
#[derive(Debug, Default)]
pub struct TrendingPosts {
    found: ArcSwapOption<Found>,
    standings: Mutex<Standings>,
}

/// What was found last.
#[derive(Debug)]
struct Found {
    /// The `now` of the formula.
    at: TimestampMs,
    /// By [`Window::ALL`].
    windows: [Arc<[Trending]>; Window::ALL.len()],
    /// The day's posts alone: what the ranking takes its candidates from.
    day: Arc<[Seen]>,
}

impl TrendingPosts {
    /// Finds them anew. Costs a look at what has changed since, and a pass over the posts in memory once an hour and when they
    /// were read in anew; the job calls it every second or so. For one store alone.
    pub fn refresh(&self, store: &Store, now_ms: TimestampMs) {
        self.find(store, &mut self.standings.lock(), now_ms);
    }

    /// The day's posts found last; found now where that has never been done.
    pub fn latest(&self, store: &Store, now_ms: TimestampMs) -> Arc<[Seen]> {
        Arc::clone(&self.found(store, now_ms).day)
    }

    /// The posts of a window found last with their standing, and the `now` it is of.
    pub fn listed(&self, store: &Store, window: Window, now_ms: TimestampMs) -> (Arc<[Trending]>, TimestampMs) {
        let found = self.found(store, now_ms);
        (Arc::clone(&found.windows[window as usize]), found.at)
    }

    fn found(&self, store: &Store, now_ms: TimestampMs) -> Arc<Found> {
        if let Some(found) = self.found.load_full() {
            return found;
        }
        let mut standings = self.standings.lock();
        self.found.load_full().unwrap_or_else(|| self.find(store, &mut standings, now_ms))
    }

    fn find(&self, store: &Store, standings: &mut Standings, now_ms: TimestampMs) -> Arc<Found> {
        let windows = standings.renew(store, KEPT, now_ms);
        let day = store.places(windows[Window::Day as usize].iter().map(|post| post.id)).into();
        let found = Arc::new(Found { at: now_ms, windows, day });
        self.found.store(Some(Arc::clone(&found)));
        found
    }
}
