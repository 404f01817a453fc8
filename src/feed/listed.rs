//! A page of posts that PostgreSQL listed. It gives the posts and their order; what else an answer says of them is the
//! store's, as far as it can be read.

use edgefeed_storage::model::TimestampMs;
use edgefeed_storage::{AuthorNo, RowCounts, StoreError, View, Viewer};

use super::page::{FeedPage, FeedRequest, Freshness, JsonId, PagePost, ServedFrom};
use super::{Feed, JsonTime, Made, explained, rfc3339};
use crate::cursor::{Newest, Place};
use crate::fallback::Listed;
use crate::ranking::score::{self, Terms};
use crate::ranking::{Config, Sources};
use crate::tuning::Numbers;

/// More posts that are left out than these are not reckoned with in one question; a page may then be short, and the next
/// goes on.
const LEFT_OUT_MAX: usize = 200;

/// What the store adds to one listed post.
struct Known {
    terms: Terms,
    counts: Option<RowCounts>,
    liked: bool,
}

impl Feed {
    /// How many posts to ask PostgreSQL for below a place: a page, one to know whether there is more, one for each that
    /// the reader hid, as far as the store knows, and one for each that the chain has shown in another order.
    pub(super) fn ask_for(&self, request: &FeedRequest, place: &Newest, now_ms: TimestampMs) -> usize {
        let view = self.store.view(request.viewer, now_ms);
        let hidden = view.map_or(0, |view| view.viewer().hidden.len());
        request.limit + 1 + (hidden + place.served.len()).min(LEFT_OUT_MAX)
    }

    /// A page of the posts listed below a place, of which `asked` were asked for.
    pub(super) fn listed(
        &self,
        request: &FeedRequest,
        place: &Newest,
        posts: &[Listed],
        asked: usize,
        now_ms: TimestampMs,
    ) -> Made {
        let tuning = self.tuning.numbers(request.viewer, request.preset);
        let read = self.known(request, posts, &tuning, now_ms).inspect_err(|error| {
            tracing::warn!(%error, "the store adds nothing to what PostgreSQL lists");
        });
        let unread = || posts.iter().map(|post| (post, Some(unknown(&tuning, post, now_ms)))).collect();
        let all: Vec<(&Listed, Option<Known>)> = read.unwrap_or_else(|_| unread());
        let shown = all.iter().filter_map(|(post, known)| known.as_ref().map(|known| (*post, known)));
        let mut shown = shown.filter(|(post, _)| !place.served.holds(post.id));
        let page: Vec<_> = shown.by_ref().take(request.limit).collect();
        // More are known, or there may be: then as many came as were asked for.
        let full = page.len() == request.limit && shown.next().is_some();
        let last = if full { page.last().map(|(post, _)| *post) } else { posts.last() };
        let has_more = full || posts.len() >= asked;
        let counted = page.iter().all(|(_, known)| known.counts.is_some());
        let next = last.filter(|_| has_more).map(|last| Place::Newest(Newest { below: last.place(), ..place.clone() }));
        Made {
            next,
            pin: None,
            page: FeedPage {
                posts: page.iter().map(|(post, known)| self.shown(request, &tuning, post, known)).collect(),
                cursor: None,
                has_more,
                ranked_at: now_ms,
                served_from: ServedFrom::Fallback,
                degraded: if counted { Vec::new() } else { vec!["counts_missing"] },
                freshness: self.listed_freshness(request, &tuning, now_ms),
            },
        }
    }

    /// What the store knows of each post; nothing of one that the reader hid, which is not shown.
    fn known<'p>(
        &self,
        request: &FeedRequest,
        posts: &'p [Listed],
        tuning: &Numbers,
        now_ms: TimestampMs,
    ) -> Result<Vec<(&'p Listed, Option<Known>)>, StoreError> {
        let mut view = self.store.view(request.viewer, now_ms)?;
        view.load(&view.viewer().follows)?;
        let viewer = view.viewer();
        let ids: Vec<_> = posts.iter().map(|post| post.id).collect();
        let (counts, liked) = (view.row_counts(&ids)?, view.liked(&ids)?);
        let facts = posts.iter().zip(counts.into_iter().zip(liked));
        let known = facts.map(|(post, (counts, liked))| {
            let terms = terms(&view, &viewer, tuning, post, now_ms);
            let hidden = viewer.hidden.contains(&post.id);
            (post, (!hidden).then_some(Known { terms, counts, liked }))
        });
        Ok(known.collect())
    }

    fn shown(&self, request: &FeedRequest, tuning: &Numbers, post: &Listed, known: &Known) -> PagePost {
        let kind = self.store.ids();
        let counts = known.counts.unwrap_or_default();
        PagePost {
            id: JsonId(kind, post.id),
            author_id: JsonId(kind, post.author),
            created_at: JsonTime(created_at(post)),
            score: score::score(&tuning.config, &known.terms),
            sources: Sources::FOLLOWED.names(),
            like_count: u64::try_from(counts.likes).unwrap_or(0),
            comment_count: u64::try_from(counts.comments).unwrap_or(0),
            viewer_liked: known.liked,
            explain: request.explain.then(|| explained(&known.terms, false, &tuning.config)),
        }
    }

    /// The posts are as of now: PostgreSQL is where they are written. (What a replica is behind is not seen from here.)
    fn listed_freshness(&self, request: &FeedRequest, tuning: &Numbers, now_ms: TimestampMs) -> Freshness {
        let view = self.store.view(request.viewer, now_ms).ok();
        let history_as_of = view.and_then(|view| self.reliance(&view.viewer(), now_ms).history_as_of);
        Freshness {
            applied_through: Some(rfc3339(now_ms)),
            staleness_ms: Some(0),
            affinity_as_of: history_as_of.map(rfc3339),
            weights_version: tuning.version.clone(),
        }
    }
}

fn created_at(post: &Listed) -> TimestampMs {
    post.created_us.div_euclid(1_000)
}

/// A post of which the store tells nothing.
fn unknown(tuning: &Numbers, post: &Listed, now_ms: TimestampMs) -> Known {
    let freshness = score::freshness(&tuning.config, created_at(post), now_ms);
    Known { terms: Terms { freshness, engagement: 0.0, affinity: 0.0 }, counts: None, liked: false }
}

/// The terms of the formula, over what is in memory.
fn terms(view: &View<'_>, viewer: &Viewer, tuning: &Numbers, post: &Listed, now_ms: TimestampMs) -> Terms {
    let unknown = unknown(tuning, post, now_ms).terms;
    let Some(facts) = view.find(post.id).and_then(|number| view.facts(number)) else { return unknown };
    let config = &tuning.config;
    Terms {
        engagement: score::engagement(config, &score::recent(config, facts, now_ms)),
        affinity: affinity(config, viewer, facts.author()),
        ..unknown
    }
}

fn affinity(config: &Config, viewer: &Viewer, author: AuthorNo) -> f64 {
    let sum = viewer.history.iter().find(|(other, _)| *other == author);
    sum.map_or(0.0, |(_, sum)| score::affinity(score::interactions(&config.affinity, sum)))
}
