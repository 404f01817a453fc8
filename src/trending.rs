//! The trending posts of 24 hours, found by a job and served from memory.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use edgefeed_storage::Store;
use edgefeed_storage::model::{Id, TimestampMs};
use parking_lot::Mutex;

use crate::ranking::trending::{self, Trending, Window};

/// Posts kept: many times what a page takes, so that a viewer who may not see most of them still finds enough.
const KEPT: usize = 5_000;

/// The posts of highest standing, best first.
#[derive(Debug, Default)]
pub struct TrendingPosts {
    found: ArcSwapOption<Arc<[Id]>>,
    finding: Mutex<()>,
}

impl TrendingPosts {
    /// Finds them anew. Costs a pass over the posts in memory; the job calls it every second or so.
    pub fn refresh(&self, store: &Store, now_ms: TimestampMs) {
        let _one_at_a_time = self.finding.lock();
        self.find(store, now_ms);
    }

    /// The posts found last; found now where that has never been done.
    pub fn latest(&self, store: &Store, now_ms: TimestampMs) -> Arc<[Id]> {
        if self.found.load().is_none() {
            let _one_at_a_time = self.finding.lock();
            if self.found.load().is_none() {
                self.find(store, now_ms);
            }
        }
        self.found.load().as_ref().map(|found| found.as_ref().clone()).unwrap_or_default()
    }

    fn find(&self, store: &Store, now_ms: TimestampMs) {
        let mut standing: Vec<Trending> = Vec::new();
        store.for_each_post(|post| standing.extend(trending::standing(post, Window::Day, now_ms)));
        if standing.len() > KEPT {
            standing.select_nth_unstable_by(KEPT, trending::best_first);
            standing.truncate(KEPT);
        }
        standing.sort_unstable_by(trending::best_first);
        let posts: Arc<[Id]> = standing.iter().map(|post| post.id).collect();
        self.found.store(Some(Arc::new(posts)));
    }
}
