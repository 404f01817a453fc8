//! The trending posts of an hour, a day and a week: found by a job, served from memory.

mod pages;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use edgefeed_storage::model::TimestampMs;
use edgefeed_storage::{Seen, Store};
use parking_lot::Mutex;

use crate::ranking::trending::{self, Trending, Window};

pub use pages::{TrendingPage, TrendingPages, TrendingPost, TrendingRequest};

/// Posts kept of a window: many times what a page takes, so that a viewer who may not see most of them still finds
/// enough.
const KEPT: usize = 5_000;

/// The posts of highest standing in each window, best first.
#[derive(Debug, Default)]
pub struct TrendingPosts {
    found: ArcSwapOption<Found>,
    finding: Mutex<()>,
}

/// What one pass over the posts found.
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
    /// Finds them anew. Costs a pass over the posts in memory; the job calls it every second or so.
    pub fn refresh(&self, store: &Store, now_ms: TimestampMs) {
        let _one_at_a_time = self.finding.lock();
        self.find(store, now_ms);
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
        let _one_at_a_time = self.finding.lock();
        self.found.load_full().unwrap_or_else(|| self.find(store, now_ms))
    }

    fn find(&self, store: &Store, now_ms: TimestampMs) -> Arc<Found> {
        let mut standings = [const { Vec::new() }; Window::ALL.len()];
        store.for_each_post(|post| {
            for (window, standings) in Window::ALL.into_iter().zip(&mut standings) {
                standings.extend(trending::standing(post, window, now_ms));
            }
        });
        let windows = standings.map(best);
        let day = store.places(windows[Window::Day as usize].iter().map(|post| post.id)).into();
        let found = Arc::new(Found { at: now_ms, windows, day });
        self.found.store(Some(Arc::clone(&found)));
        found
    }
}

/// The best of them, best first.
fn best(mut standings: Vec<Trending>) -> Arc<[Trending]> {
    if standings.len() > KEPT {
        standings.select_nth_unstable_by(KEPT, trending::best_first);
        standings.truncate(KEPT);
    }
    standings.sort_unstable_by(trending::best_first);
    standings.into()
}
