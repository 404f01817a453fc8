//! The ladder, climbed: a page from the best rung that holds, and every answer says which one that was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_sync::breaker::{Breaker, State};

use super::ladder::{self, Facts, Plan, Reason, Rung};
use super::page::{FeedError, FeedPage, FeedRequest, ServedFrom};
use super::{Chained, Feed};
use crate::cursor::{self, Keys, Keyset, Place};
use crate::fallback::{self, Fallback};
use crate::metrics;

/// Everything a page can come from.
#[derive(Debug)]
pub struct Answers {
    feed: Arc<Feed>,
    /// PostgreSQL, where there is one.
    pub fallback: Option<Arc<Fallback>>,
    /// The breaker around ClickHouse, where there is one.
    pub center: Option<Arc<Breaker>>,
    /// When PostgreSQL comes first.
    config: fallback::Config,
    keys: Keys,
    /// Whether the store could not be read when it was last asked.
    unreadable: AtomicBool,
}

impl Answers {
    /// A ladder over these rungs: this node's store, PostgreSQL, and the breaker around ClickHouse, which decides under
    /// the policy `strict`. `keys` seal the cursors.
    pub fn new(
        feed: Arc<Feed>,
        fallback: Option<Arc<Fallback>>,
        center: Option<Arc<Breaker>>,
        config: fallback::Config,
        keys: Keys,
    ) -> Self {
        Self { feed, fallback, center, config, keys, unreadable: AtomicBool::default() }
    }

    /// One page at `now_ms`, from the best rung that holds.
    pub async fn page(self: Arc<Self>, request: FeedRequest, now_ms: TimestampMs) -> Result<FeedPage, FeedError> {
        let below = match request.cursor.as_deref() {
            None => None,
            Some(text) => match cursor::open(&self.keys, request.viewer, text)? {
                Place::Newest(place) => Some(place),
                Place::Trending(_) => return Err(FeedError::BadCursor),
            },
        };
        let plan = ladder::plan(&self.config, &self.facts(below.is_some(), now_ms));
        let mut causes = Vec::new();
        for rung in plan.rungs() {
            let made = match rung {
                Rung::Local => self.local(&request, below, now_ms).await,
                Rung::Fallback => self.listed(&request, below, now_ms).await,
            };
            match made {
                Ok(made) => return Ok(self.finish(made, request.viewer, plan)),
                Err(FeedError::Unavailable(cause)) => causes.push(cause),
                Err(other) => return Err(other),
            }
        }
        if causes.is_empty() {
            causes.push("the store never held anything, and there is no PostgreSQL to ask".to_owned());
        }
        Err(FeedError::Unavailable(causes.join("; ")))
    }

    /// Why no rung could answer now; `None` while one can. For readiness: a store that failed is tried again.
    pub fn out_of_reach(&self) -> Option<String> {
        let postgres = self.fallback.as_ref().is_some_and(|fallback| fallback.may_be_asked());
        if postgres || !self.unreadable.load(Ordering::Relaxed) {
            return None;
        }
        let error = self.feed.store().last_contact().err();
        self.unreadable.store(error.is_some(), Ordering::Relaxed);
        error.map(|error| format!("no source can answer: {error}"))
    }

    fn facts(&self, chain: bool, now_ms: TimestampMs) -> Facts {
        let lag = self.feed.lag();
        Facts {
            store_holds: lag.holds_anything(),
            store_age_ms: lag.staleness_ms(now_ms),
            center_open: self.center.as_ref().is_some_and(|center| center.state() == State::Open),
            postgres: self.fallback.as_ref().is_some_and(|fallback| fallback.may_be_asked()),
            chain,
        }
    }

    /// A page from the store: ranked, or the chain goes on.
    async fn local(
        &self,
        request: &FeedRequest,
        below: Option<Keyset>,
        now_ms: TimestampMs,
    ) -> Result<Chained, FeedError> {
        self.feed.prepare(request.viewer, now_ms).await;
        let request = request.clone();
        let made = self.reading(move |feed| match below {
            None => feed.page(&request, now_ms).map(Chained::whole),
            Some(place) => feed.older(&request, place, now_ms),
        });
        let made = made.await?;
        self.unreadable.store(matches!(made, Err(FeedError::Unavailable(_))), Ordering::Relaxed);
        made
    }

    /// A page that PostgreSQL lists.
    async fn listed(
        &self,
        request: &FeedRequest,
        below: Option<Keyset>,
        now_ms: TimestampMs,
    ) -> Result<Chained, FeedError> {
        let Some(fallback) = &self.fallback else { return Err(FeedError::Unavailable("no PostgreSQL".to_owned())) };
        let asking = request.clone();
        let count = self.reading(move |feed| feed.ask_for(&asking, now_ms)).await?;
        // Nothing dated ahead: a first page begins with the running millisecond.
        let below = below.unwrap_or(Keyset::exact((now_ms + 1).saturating_mul(1_000), Id(0)));
        let posts = fallback.newest(request.viewer, below, count).await;
        let posts = posts.map_err(|error| FeedError::Unavailable(error.to_string()))?;
        let request = request.clone();
        self.reading(move |feed| feed.listed(&request, &posts, count, now_ms)).await
    }

    /// Reads the store, which may wait for a lock or for the disk: never on a thread that has connections to serve. How
    /// many wait is bounded by the connections there may be.
    async fn reading<T: Send + 'static>(&self, read: impl FnOnce(&Feed) -> T + Send + 'static) -> Result<T, FeedError> {
        let feed = Arc::clone(&self.feed);
        tokio::task::spawn_blocking(move || read(&feed)).await.map_err(|error| {
            tracing::error!(%error, "making a page panicked");
            FeedError::Internal
        })
    }

    /// Says which rung answered and why, and where the chain goes on.
    fn finish(&self, made: Chained, viewer: Id, plan: Plan) -> FeedPage {
        let Chained { mut page, next } = made;
        page.cursor = next.map(|place| cursor::seal(&self.keys, viewer, &Place::Newest(place)));
        if page.served_from == ServedFrom::Fallback {
            let reason = plan.reason.unwrap_or(Reason::StoreFailed);
            metrics::fallback(reason);
            page.degraded.push(reason.name());
        } else if let Some(reason) = plan.reason {
            page.degraded.extend((reason != Reason::Chain).then_some(reason.name()));
            page.degraded.extend(self.fallback.as_ref().map(|_| "fallback_away"));
        }
        page
    }
}
