//! A page by score, ranked anew: a first one, or one whose pin is gone.

use std::sync::Arc;
use std::time::Instant;

use edgefeed_storage::model::{Id, TimestampMs};
use hashbrown::HashSet;

use super::candidates::Candidates;
use super::page::{FeedError, FeedPage, FeedRequest, ServedFrom};
use super::{Feed, Made, freshness};
use crate::cache::{Making, Pin, Pinned};
use crate::cursor::{Place, Ranked as RankedPlace, Served};
use crate::metrics;
use crate::ranking::{self, Ranked, select};

impl Feed {
    /// The best posts that the chain has not shown, and a pin of the rest where there is a rest. What the reader was
    /// served `lately` stands after all others.
    pub(super) fn ranked(
        &self,
        request: &FeedRequest,
        shown: &Served,
        lately: &HashSet<Id>,
        now_ms: TimestampMs,
    ) -> Result<Made, FeedError> {
        let started = Instant::now();
        let numbers = self.tuning.numbers(request.viewer, request.preset);
        let config = &numbers.config;
        // Before the view: finding them anew takes the lock that a view holds.
        let trending = self.trending.latest(&self.store, now_ms);
        let mut view = self.store.view(request.viewer, now_ms)?;
        let candidates = Candidates::ranked(&mut view, config, &trending, shown, now_ms)?;
        metrics::candidates(candidates.len(), candidates.removed());
        let reliance = self.reliance(&view.viewer(), now_ms);
        let degraded = self.degraded(view.is_warm(), candidates.complete(), reliance);
        let mut posts = candidates.score(&view, config, now_ms);
        if !lately.is_empty() {
            posts.iter_mut().for_each(|post| post.served = lately.contains(&post.id));
        }
        let posts = ranking::best_first(&posts);
        let order = places(&posts, &config.spacing, request.limit.min(shown.room()));
        metrics::ranked(started.elapsed());
        metrics::ranked_by(numbers.set);
        let placed = order.iter().enumerate();
        let page = placed.filter_map(|(place, rank)| Some(Pinned::of(posts.get(*rank)?, *rank).placed(place)));
        let page: Vec<Pinned> = page.collect();
        let served = shown.and(page.iter().map(|post| post.id));
        let has_more = posts.len() > order.len() && served.room() > 0;
        let pin = has_more.then(|| {
            let (numbers, degraded) = (Arc::clone(&numbers), degraded.clone());
            let made = Making { ranked_at: now_ms, numbers, degraded, history_as_of: reliance.history_as_of };
            Arc::new(Pin::new(self.store.ids(), made, &posts))
        });
        Ok(Made {
            page: FeedPage {
                posts: self.fill(&view, &page, request.explain, &numbers.config, now_ms)?,
                cursor: None,
                has_more,
                ranked_at: now_ms,
                served_from: ServedFrom::Local,
                degraded,
                freshness: freshness(reliance, &numbers.version, now_ms),
            },
            next: pin.as_ref().map(|pin| {
                let at = u16::try_from(order.len()).unwrap_or(u16::MAX);
                let (preset, refresh) = (request.preset, request.refresh);
                Place::Ranked(RankedPlace { pin: pin.id, at, preset, refresh, served })
            }),
            pin,
        })
    }
}

/// The first places, by the rules of spacing.
fn places(posts: &[Ranked], spacing: &ranking::config::Spacing, places: usize) -> Vec<usize> {
    let first = posts.partition_point(|post| !post.served);
    select::space_in_two(posts.iter().map(|post| post.author), first, spacing, places)
}
