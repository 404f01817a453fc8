//! The trending posts of 24 hours, found by a job and served from memory.

use std::sync::Arc;

use arc_swap::ArcSwap;
use edgefeed_storage::Store;
use edgefeed_storage::model::{Hour, Id, TimestampMs, hour_of};
use parking_lot::Mutex;

use crate::ranking::trending::{self, Trending, Window};

/// Posts kept: many times what a page takes, so that a viewer who may not see most of them still finds enough.
const KEPT: usize = 5_000;

/// One finding.
#[derive(Debug, Default)]
struct Found {
    hour: Hour,
    posts: Arc<[Id]>,
}

/// The posts of highest standing, best first.
#[derive(Debug, Default)]
pub struct TrendingPosts {
    found: ArcSwap<Found>,
    finding: Mutex<()>,
}

impl TrendingPosts {
    /// Finds them anew. Costs a pass over the posts in memory; the job calls it every second or so.
    pub fn refresh(&self, store: &Store, now_ms: TimestampMs) {
        let _one_at_a_time = self.finding.lock();
        self.find(store, now_ms);
    }

    /// The posts as of `now_ms`: those found last, unless that was in another hour, when every decay is another.
    pub fn at(&self, store: &Store, now_ms: TimestampMs) -> Arc<[Id]> {
        let hour = hour_of(now_ms);
        if self.found.load().hour != hour {
            let _one_at_a_time = self.finding.lock();
            if self.found.load().hour != hour {
                self.find(store, now_ms);
            }
        }
        Arc::clone(&self.found.load().posts)
    }

    fn find(&self, store: &Store, now_ms: TimestampMs) {
        let mut standing: Vec<Trending> = Vec::new();
        store.for_each_post(|post| standing.extend(trending::standing(post, Window::Day, now_ms)));
        if standing.len() > KEPT {
            standing.select_nth_unstable_by(KEPT, trending::best_first);
            standing.truncate(KEPT);
        }
        standing.sort_unstable_by(trending::best_first);
        let posts = standing.iter().map(|post| post.id).collect();
        self.found.store(Arc::new(Found { hour: hour_of(now_ms), posts }));
    }
}
