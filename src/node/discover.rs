//! What readers discover beside their feed: trending posts and users to follow, and the jobs behind both.

use std::sync::Arc;

use edgefeed_storage::Store;
use edgefeed_sync::Lag;

use super::jobs::Jobs;
use crate::cursor::Keys;
use crate::feed::FeedError;
use crate::http::{SuggestedFn, TrendingFn};
use crate::suggest::Suggestions;
use crate::trending::{TrendingPages, TrendingPosts};

/// Both, as the HTTP edge asks for them.
pub(super) struct Discover {
    pub(super) trending: TrendingFn,
    pub(super) suggested: SuggestedFn,
    suggestions: Arc<Suggestions>,
}

impl std::fmt::Debug for Discover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discover").finish_non_exhaustive()
    }
}

impl Discover {
    pub(super) fn new(store: &Arc<Store>, lag: &Arc<Lag>, posts: &Arc<TrendingPosts>, keys: Keys) -> Self {
        let pages = TrendingPages::new(Arc::clone(store), Arc::clone(posts), Arc::clone(lag), keys);
        let pages = Arc::new(pages);
        let suggestions = Suggestions::new(Arc::clone(store), Arc::clone(lag));
        let asked = Arc::clone(&suggestions);
        Self {
            trending: Arc::new(move |request, now_ms| {
                let pages = Arc::clone(&pages);
                // It may wait for a lock or for the disk: never on a thread that has connections to serve.
                let made = tokio::task::spawn_blocking(move || pages.page(&request, now_ms));
                Box::pin(async move {
                    made.await.unwrap_or_else(|error| {
                        tracing::error!(%error, "making a page of trending posts panicked");
                        Err(FeedError::Internal)
                    })
                })
            }),
            suggested: Arc::new(move |request, now_ms| Box::pin(Arc::clone(&asked).page(request, now_ms))),
            suggestions,
        }
    }

    /// The job that keeps suggestions fresh. (The trending posts are found by a job that the ranking needs too.)
    pub(super) fn keep(&self, jobs: &mut Jobs) {
        jobs.renew_suggestions(&self.suggestions);
    }
}
