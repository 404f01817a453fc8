//! The read path: view → candidates → filter → score → select → page. `ladder` decides who answers, `answers` asks; the
//! store's own pages are made here, those that PostgreSQL lists in `listed`.

mod answers;
mod candidates;
pub mod ladder;
mod listed;
pub mod page;
pub(crate) mod time;

use std::sync::Arc;
use std::time::Instant;

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_storage::{Store, StoreError, View, Viewer};
use edgefeed_sync::Lag;

use crate::affinity::Affinity;
use crate::cursor::{BadCursor, Keyset};
use crate::metrics;
use crate::ranking::score::Terms as Scored;
use crate::ranking::{self, Config, Ranked, select};
use crate::trending::TrendingPosts;
use crate::tuning::Tuning;
use candidates::Candidates;

pub use answers::Answers;
pub use page::{Algo, FeedError, FeedPage, FeedRequest, Freshness, JsonId, PagePost, ServedFrom, TermWeights, Terms};
pub use time::rfc3339;

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

/// A page, and where its chain goes on when it is one of a chain and there is more.
#[derive(Debug)]
struct Chained {
    page: FeedPage,
    next: Option<Keyset>,
}

impl Chained {
    /// A page that begins no chain.
    fn whole(page: FeedPage) -> Self {
        Self { page, next: None }
    }
}

impl Feed {
    /// A feed over a store that something else keeps current.
    pub fn new(store: Arc<Store>, trending: Arc<TrendingPosts>, lag: Arc<Lag>, tuning: Arc<Tuning>) -> Self {
        Self { store, trending, lag, affinity: None, tuning }
    }

    /// The same with histories from the center.
    #[must_use]
    pub fn with_histories(self, affinity: Arc<Affinity>) -> Self {
        Self { affinity: Some(affinity), ..self }
    }

    /// Call it before a page of this reader is made: it fetches what the center knows of them, if that is missing, and
    /// comes back within `clickhouse.affinity_budget_ms`.
    async fn prepare(&self, viewer: Id, now_ms: TimestampMs) {
        if let Some(affinity) = &self.affinity {
            affinity.ensure(viewer, now_ms).await;
        }
    }

    /// One page, ranked anew at `now_ms`, whatever the cursor. Reads memory, now and then the store; no other machine.
    pub fn page(&self, request: &FeedRequest, now_ms: TimestampMs) -> Result<FeedPage, FeedError> {
        let started = Instant::now();
        let tuning = self.tuning.numbers(request.viewer, request.preset);
        let config = &tuning.config;
        // Before the view: finding them anew takes the lock that a view holds.
        let trending = self.trending.latest(&self.store, now_ms);
        let mut view = self.store.view(request.viewer, now_ms)?;
        let candidates = match request.algo {
            Algo::Ranked => Candidates::ranked(&mut view, config, &trending, now_ms)?,
            Algo::Time => Candidates::followed(&mut view, config, None, now_ms)?,
        };
        metrics::candidates(candidates.len(), candidates.removed());
        let reliance = self.reliance(&view.viewer(), now_ms);
        let marks = self.degraded(view.is_warm(), candidates.complete(), reliance);
        let mut posts = candidates.score(&view, config, now_ms);
        let order = match request.algo {
            Algo::Ranked => {
                posts.sort_unstable_by(ranking::by_score);
                select::space(posts.iter().map(|post| post.author), &config.spacing, request.limit)
            }
            Algo::Time => {
                posts.sort_unstable_by(ranking::newest_first);
                (0..posts.len().min(request.limit)).collect()
            }
        };
        metrics::ranked(started.elapsed());
        let has_more = posts.len() > order.len();
        let shown: Vec<&Ranked> = order.iter().filter_map(|rank| posts.get(*rank)).collect();
        Ok(FeedPage {
            posts: self.fill(&view, &shown, request.explain, config)?,
            cursor: None,
            has_more,
            ranked_at: now_ms,
            served_from: ServedFrom::Local,
            degraded: marks,
            freshness: freshness(reliance, &tuning.version, now_ms),
        })
    }

    /// A page of followed authors' posts, newest first, below a place: how the store goes on with a chain that
    /// PostgreSQL began. It reaches back as far as the candidates of a ranking do.
    fn older(&self, request: &FeedRequest, below: Keyset, now_ms: TimestampMs) -> Result<Chained, FeedError> {
        let tuning = self.tuning.numbers(request.viewer, request.preset);
        let config = &tuning.config;
        let mut view = self.store.view(request.viewer, now_ms)?;
        let candidates = Candidates::followed(&mut view, config, Some(below), now_ms)?;
        metrics::candidates(candidates.len(), candidates.removed());
        let reliance = self.reliance(&view.viewer(), now_ms);
        let degraded = self.degraded(view.is_warm(), candidates.complete(), reliance);
        let mut posts = candidates.score(&view, config, now_ms);
        posts.sort_unstable_by(ranking::newest_first);
        let shown: Vec<&Ranked> = posts.iter().take(request.limit).collect();
        let has_more = posts.len() > shown.len();
        let last = shown.last().filter(|_| has_more);
        Ok(Chained {
            next: last.map(|post| Keyset::coarse(post.created_at, post.id)),
            page: FeedPage {
                posts: self.fill(&view, &shown, request.explain, config)?,
                cursor: None,
                has_more,
                ranked_at: now_ms,
                served_from: ServedFrom::Local,
                degraded,
                freshness: freshness(reliance, &tuning.version, now_ms),
            },
        })
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

    /// The posts of a page with everything an answer says of them.
    fn fill(
        &self,
        view: &View<'_>,
        shown: &[&Ranked],
        explain: bool,
        config: &Config,
    ) -> Result<Vec<PagePost>, FeedError> {
        let kind = self.store.ids();
        let ids: Vec<Id> = shown.iter().map(|post| post.id).collect();
        let liked = view.liked(&ids)?;
        let posts = shown.iter().zip(liked).filter_map(|(ranked, viewer_liked)| {
            let facts = view.facts(view.find(ranked.id)?)?;
            Some(PagePost {
                id: JsonId(kind, ranked.id),
                author_id: JsonId(kind, view.author_id(ranked.author)?),
                created_at: rfc3339(ranked.created_at),
                score: ranked.score,
                sources: ranked.sources.names(),
                like_count: facts.like_count(),
                comment_count: facts.comment_count(),
                viewer_liked,
                explain: explain.then(|| explained(&ranked.terms, config)),
            })
        });
        Ok(posts.collect())
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

fn explained(terms: &Scored, config: &Config) -> Terms {
    Terms {
        freshness: terms.freshness,
        engagement: terms.engagement,
        affinity: terms.affinity,
        weights: TermWeights {
            freshness: config.weight_freshness,
            engagement: config.weight_engagement,
            affinity: config.weight_affinity,
        },
    }
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
