//! The next page of a pinned ranking: its posts in its order, as far as they may still be shown, and what is said of them
//! as of now.

use edgefeed_storage::View;
use edgefeed_storage::model::TimestampMs;

use super::page::{FeedError, FeedPage, FeedRequest, ServedFrom};
use super::{Feed, Made, freshness};
use crate::cache::{Pin, Pinned};
use crate::cursor::{Place, Ranked as RankedPlace};
use crate::ranking::filter;

/// Posts looked at beyond those a page takes, before more are fetched: some may be hidden or viewed by now.
const SPARE: usize = 8;

/// What a pin gives from some place on.
#[derive(Debug)]
struct Taken {
    posts: Vec<Pinned>,
    /// Behind the last one taken.
    at: usize,
    /// Behind the last one looked at.
    looked: usize,
    /// Whether another one may be shown.
    more: bool,
    /// Whether none was missing for want of memory.
    complete: bool,
}

impl Feed {
    /// The posts of a pin from a place on.
    pub(super) fn pinned(
        &self,
        request: &FeedRequest,
        pin: &Pin,
        place: &RankedPlace,
        now_ms: TimestampMs,
    ) -> Result<Made, FeedError> {
        let view = self.store.view(request.viewer, now_ms)?;
        self.pinned_in(view, request, pin, place, now_ms)
    }

    /// The same, if all of it is in memory and nobody else is at work there. Most pages are made so: a thread that may
    /// wait would cost as much as the page.
    pub(super) fn pinned_at_once(
        &self,
        request: &FeedRequest,
        pin: &Pin,
        place: &RankedPlace,
        now_ms: TimestampMs,
    ) -> Option<Made> {
        let view = self.store.view_at_once(request.viewer, now_ms)?;
        self.pinned_in(view, request, pin, place, now_ms).ok()
    }

    fn pinned_in(
        &self,
        mut view: View<'_>,
        request: &FeedRequest,
        pin: &Pin,
        place: &RankedPlace,
        now_ms: TimestampMs,
    ) -> Result<Made, FeedError> {
        let limit = request.limit.min(place.served.room());
        let taken = take(&mut view, pin, usize::from(place.at), limit, now_ms)?;
        let served = place.served.and(taken.posts.iter().map(|post| post.id));
        let has_more = taken.more && served.room() > 0;
        let mut degraded = pin.making.degraded.clone();
        let lacks = [("ingest_failed", self.lag.failure().is_some()), ("memory_short", !taken.complete)];
        for (mark, _) in lacks.into_iter().filter(|(_, holds)| *holds) {
            if !degraded.contains(&mark) {
                degraded.push(mark);
            }
        }
        let mut reliance = self.reliance(&view.viewer(), now_ms);
        reliance.history_as_of = pin.making.history_as_of;
        Ok(Made {
            page: FeedPage {
                posts: self.fill(
                    &view,
                    &taken.posts,
                    request.explain,
                    &pin.making.numbers.config,
                    pin.making.ranked_at,
                )?,
                cursor: None,
                has_more,
                ranked_at: pin.making.ranked_at,
                served_from: ServedFrom::Cache,
                degraded,
                freshness: freshness(reliance, &pin.making.numbers.version, now_ms),
            },
            next: has_more.then(|| {
                let at = u16::try_from(taken.at).unwrap_or(u16::MAX);
                Place::Ranked(RankedPlace { at, served, ..*place })
            }),
            pin: None,
        })
    }
}

/// Up to `limit` posts that may be shown, and whether there is one more.
fn take(view: &mut View<'_>, pin: &Pin, at: usize, limit: usize, now_ms: TimestampMs) -> Result<Taken, FeedError> {
    let posts = Vec::with_capacity(limit);
    let mut taken = Taken { posts, at, looked: at, more: false, complete: true };
    let mut fetched = at;
    while taken.go_on(view, pin, limit, fetched, now_ms) == Step::Fetch {
        let ids: Vec<_> = pin.from(taken.looked).take(limit + SPARE).map(|post| post.id).collect();
        taken.complete &= view.load_posts(&ids)?;
        fetched = taken.looked + ids.len();
    }
    Ok(taken)
}

/// What is to be done next.
#[derive(PartialEq)]
enum Step {
    /// The next post is not in memory, and may be had.
    Fetch,
    /// Nothing: the page is full, or the pin is at its end.
    Stop,
}

impl Taken {
    /// Takes what may be shown. Those up to the place `fetched` that are not in memory are not to be had.
    fn go_on(&mut self, view: &View<'_>, pin: &Pin, limit: usize, fetched: usize, now_ms: TimestampMs) -> Step {
        let viewer = view.viewer();
        let viewed_ms = pin.making.numbers.config.viewed_ms();
        for post in pin.from(self.looked) {
            let found = view.find_seen(&post.seen());
            if found.is_none() && self.looked >= fetched {
                return Step::Fetch;
            }
            self.looked += 1;
            let found = found.and_then(|at| Some((at, view.facts(at)?)));
            let shown = found.filter(|(_, facts)| filter::removed(&viewer, facts, viewed_ms, now_ms).is_none());
            let Some((at, _)) = shown else { continue };
            if self.posts.len() == limit {
                self.more = true;
                break;
            }
            self.posts.push(Pinned { at, ..post });
            self.at = self.looked;
        }
        Step::Stop
    }
}
