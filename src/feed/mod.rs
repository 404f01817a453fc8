//! The read path: view → candidates → filter → score → select → page. `ladder` decides who answers, `answers` asks. A page
//! is `ranked` anew, the next one of a ranking that was `pinned`, the `newest` posts, or what PostgreSQL `listed`.

mod answers;
mod candidates;
mod explain;
pub mod ladder;
mod listed;
mod newest;
pub mod page;
mod pinned;
mod ranked;
pub(crate) mod time;
mod tried;

use std::sync::Arc;

use edgefeed_storage::model::{Id, IdKind, TimestampMs};
use edgefeed_storage::{PostFacts, Store, StoreError, View, Viewer};
use edgefeed_sync::Lag;
use hashbrown::HashSet;

use crate::affinity::Affinity;
use crate::cache::{Pin, Pinned};
use crate::cursor::{BadCursor, Place, Served};
use crate::ranking::{Config, score};
use crate::trending::TrendingPosts;
use crate::tuning::{Recent, Requests, Tuning};

pub use answers::Answers;
pub use candidates::{BySource, Standing};
pub use explain::{ExplainRequest, Explanation, Stage};
pub use page::{
    Algo, Features, FeedError, FeedPage, FeedRequest, Freshness, JsonId, PagePost, ServedFrom, TermWeights, Terms,
};
pub use time::{JsonTime, rfc3339};

/// Answers feeds from the local store.
#[derive(Debug)]
pub struct Feed {
    store: Arc<Store>,
    trending: Arc<TrendingPosts>,
    lag: Arc<Lag>,
    /// `None`: every history is this node's own.
    affinity: Option<Arc<Affinity>>,
    /// Asked once a page, so that none is made of two sets of numbers.
    tuning: Arc<Tuning>,
    /// The requests of late; `None`: nobody wants to know.
    requests: Option<Arc<Requests>>,
}

/// How far what a page says of its reader can be relied on.
#[derive(Clone, Copy, Debug)]
struct Reliance {
    /// Everything written to Kafka until then has been applied.
    applied_through: Option<TimestampMs>,
    /// The reader's history is complete until then.
    history_as_of: Option<TimestampMs>,
    /// The reader's history lacks the center's part, or that is old.
    history_stale: bool,
}

/// A page, and how its chain goes on where there is more.
#[derive(Debug)]
struct Made {
    page: FeedPage,
    /// Where the next page begins.
    next: Option<Place>,
    /// What the next page is taken from, where that was made just now.
    pin: Option<Arc<Pin>>,
}

impl Feed {
    /// A feed over a store that something else keeps current.
    pub fn new(store: Arc<Store>, trending: Arc<TrendingPosts>, lag: Arc<Lag>, tuning: Arc<Tuning>) -> Self {
        Self { store, trending, lag, affinity: None, tuning, requests: None }
    }

    /// The same with histories from the center.
    #[must_use]
    pub fn with_histories(self, affinity: Arc<Affinity>) -> Self {
        Self { affinity: Some(affinity), ..self }
    }

    /// The same with a memory of the requests of late.
    #[must_use]
    pub fn with_requests(self, requests: Arc<Requests>) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Notes a request for a first page by score.
    fn note(&self, request: &FeedRequest, now_ms: TimestampMs) {
        if let Some(requests) = self.requests.as_ref().filter(|_| request.algo == Algo::Ranked) {
            let limit = u16::try_from(request.limit).unwrap_or(u16::MAX);
            requests.note(Recent { viewer: request.viewer, at: now_ms, limit, preset: request.preset });
        }
    }

    /// The newest requests of late, newest first.
    pub fn recent(&self, most: usize) -> Vec<Recent> {
        self.requests.as_ref().map(|requests| requests.newest(most)).unwrap_or_default()
    }

    /// Which kind of ids its store has.
    pub fn ids(&self) -> IdKind {
        self.store.ids()
    }

    /// Call it before a page of this reader is made: it fetches what the center knows of them, if that is missing, and
    /// comes back within `clickhouse.affinity_budget_ms`.
    async fn prepare(&self, viewer: Id, now_ms: TimestampMs) {
        if let Some(affinity) = &self.affinity {
            affinity.ensure(viewer, now_ms).await;
        }
    }

    /// A first page at `now_ms`, whatever the cursor, for a reader who was served nothing before. Reads memory, now and
    /// then the store; no other machine.
    pub fn page(&self, request: &FeedRequest, now_ms: TimestampMs) -> Result<FeedPage, FeedError> {
        let made = match request.algo {
            Algo::Ranked => self.ranked(request, &Served::default(), &HashSet::new(), now_ms),
            Algo::Time => self.newest(request, None, now_ms),
        };
        made.map(|made| made.page)
    }

    /// How far the store has come.
    fn lag(&self) -> &Lag {
        &self.lag
    }

    fn store(&self) -> &Store {
        &self.store
    }

    /// Finds the trending posts anew, as the background job does.
    pub fn refresh_trending(&self, now_ms: TimestampMs) {
        self.trending.refresh(&self.store, now_ms);
    }

    /// The posts of a page with everything an answer says of them. `made_at`: when they were ranked.
    fn fill(
        &self,
        view: &View<'_>,
        shown: &[Pinned],
        explain: bool,
        config: &Config,
        made_at: TimestampMs,
    ) -> Result<Vec<PagePost>, FeedError> {
        let (kind, viewer) = (self.store.ids(), view.viewer());
        let ids: Vec<Id> = shown.iter().map(|post| post.id).collect();
        let liked = view.liked(&ids)?;
        let mut posts = Vec::with_capacity(shown.len());
        posts.extend(shown.iter().zip(liked).filter_map(|(post, viewer_liked)| {
            let facts = view.facts(view.find_seen(&post.seen())?)?;
            Some(PagePost {
                id: JsonId(kind, post.id),
                author_id: JsonId(kind, view.author_id(facts.author())?),
                created_at: JsonTime(facts.created_at()),
                score: score::score(config, &post.terms),
                sources: post.sources.names(),
                like_count: facts.like_count(),
                comment_count: facts.comment_count(),
                viewer_liked,
                explain: explain.then(|| Terms {
                    features: features(&viewer, config, facts, &post.terms, made_at),
                    rank: post.place.map(|_| post.rank + 1),
                    place: post.place.map(|place| place + 1),
                    ..explained(&post.terms, post.served, config)
                }),
            })
        }));
        Ok(posts)
    }

    fn reliance(&self, viewer: &Viewer, now_ms: TimestampMs) -> Reliance {
        let applied_through = self.lag.applied_through(now_ms);
        let (history_as_of, history_stale) = match &self.affinity {
            Some(affinity) => affinity.mark(viewer, applied_through, now_ms),
            None => (applied_through, false),
        };
        Reliance { applied_through, history_as_of, history_stale }
    }

    fn degraded(&self, warm: bool, complete: bool, reliance: Reliance) -> Vec<&'static str> {
        let marks = [
            ("catching_up", !self.lag.caught_up()),
            ("ingest_failed", self.lag.failure().is_some()),
            ("warming", !warm),
            ("memory_short", !complete),
            ("affinity_stale", reliance.history_stale),
        ];
        marks.into_iter().filter(|(_, holds)| *holds).map(|(mark, _)| mark).collect()
    }
}

fn freshness(reliance: Reliance, weights_version: &str, now_ms: TimestampMs) -> Freshness {
    let through = reliance.applied_through;
    Freshness {
        applied_through: through.map(rfc3339),
        staleness_ms: through.map(|through| u64::try_from(now_ms.saturating_sub(through)).unwrap_or(0)),
        affinity_as_of: reliance.history_as_of.map(rfc3339),
        weights_version: weights_version.to_owned(),
    }
}

fn explained(terms: &score::Terms, served: bool, config: &Config) -> Terms {
    Terms {
        freshness: terms.freshness,
        engagement: terms.engagement,
        affinity: terms.affinity,
        weights: TermWeights {
            freshness: config.weight_freshness,
            engagement: config.weight_engagement,
            affinity: config.weight_affinity,
        },
        features: None,
        rank: None,
        place: None,
        served,
    }
}

/// What these terms are made of; `None` where it has changed since they were.
fn features(
    viewer: &Viewer,
    config: &Config,
    facts: &PostFacts,
    terms: &score::Terms,
    made_at: TimestampMs,
) -> Option<Features> {
    let sum = score::recent(config, facts, made_at);
    let history = viewer.history.iter().find(|(author, _)| *author == facts.author());
    let interactions = history.map_or(0, |(_, sum)| score::interactions(&config.affinity, sum));
    let of_these = score::Terms {
        freshness: score::freshness(config, facts.created_at(), made_at),
        engagement: score::engagement(config, &sum),
        affinity: score::affinity(interactions),
    };
    (of_these == *terms).then_some(Features {
        age_hours: score::age_hours(facts.created_at(), made_at),
        impressions: sum.impressions,
        likes: sum.likes,
        comments: sum.comments,
        shares: sum.shares,
        interactions,
    })
}

impl From<BadCursor> for FeedError {
    fn from(_: BadCursor) -> Self {
        Self::BadCursor
    }
}

impl From<StoreError> for FeedError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
