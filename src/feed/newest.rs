//! A page newest first from the store: for readers who want that order, and in place of PostgreSQL in a chain that it began.

use std::time::Instant;

use edgefeed_storage::model::TimestampMs;

use super::candidates::Candidates;
use super::page::{FeedError, FeedPage, FeedRequest, ServedFrom};
use super::{Feed, Made, freshness};
use crate::cache::Pinned;
use crate::cursor::{Began, Keyset, Newest, Place, Served};
use crate::metrics;
use crate::ranking;

impl Feed {
    /// Followed authors' posts, newest first, from the top or from where a chain stands. It reaches back as far as the
    /// candidates of a ranking do.
    pub(super) fn newest(
        &self,
        request: &FeedRequest,
        place: Option<&Newest>,
        now_ms: TimestampMs,
    ) -> Result<Made, FeedError> {
        let started = Instant::now();
        let numbers = self.tuning.numbers(request.viewer, request.preset);
        let config = &numbers.config;
        let (began, below, shown) = match place {
            Some(place) => (place.began, Some(place.below), place.served.clone()),
            None => (Began::Store, None, Served::default()),
        };
        let mut view = self.store.view(request.viewer, now_ms)?;
        let candidates = Candidates::followed(&mut view, config, below, &shown, now_ms)?;
        metrics::candidates(candidates.len(), candidates.removed());
        let reliance = self.reliance(&view.viewer(), now_ms);
        let degraded = self.degraded(view.is_warm(), candidates.complete(), reliance);
        let mut posts = candidates.score(&view, config, now_ms);
        posts.sort_unstable_by(ranking::newest_first);
        let has_more = posts.len() > request.limit;
        posts.truncate(request.limit);
        metrics::ranked(started.elapsed());
        let page: Vec<Pinned> = posts.iter().enumerate().map(|(rank, post)| Pinned::of(post, rank)).collect();
        let last = posts.last().filter(|_| has_more).map(|post| Keyset::coarse(post.created_at, post.id));
        Ok(Made {
            page: FeedPage {
                posts: self.fill(&view, &page, request.explain, config, now_ms)?,
                cursor: None,
                has_more,
                ranked_at: now_ms,
                served_from: ServedFrom::Local,
                degraded,
                freshness: freshness(reliance, &numbers.version, now_ms),
            },
            next: last.map(|below| Place::Newest(Newest { below, began, preset: request.preset, served: shown })),
            pin: None,
        })
    }
}
