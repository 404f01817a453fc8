//! The ladder, climbed: a page from the best rung that holds, and every answer says which one that was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_sync::breaker::{Breaker, State};
use hashbrown::HashSet;

use super::ladder::{self, Facts, Plan, Reason, Rung};
use super::page::{Algo, FeedError, FeedPage, FeedRequest, ServedFrom};
use super::{Feed, Made};
use crate::cache::{self, Flights, Lately, Pins};
use crate::cursor::{self, Began, Keys, Keyset, Newest, Place, Ranked, Served};
use crate::fallback::{self, Fallback};
use crate::metrics;
use crate::ranking::Preset;

/// The mark of a page that goes on with a chain whose order is gone.
const PIN_LOST: &str = "pin_lost";

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
    pins: Pins,
    lately: Lately,
    first_pages: Arc<Flights<FirstPage, Result<Arc<FeedPage>, FeedError>>>,
    /// Whether the store could not be read when it was last asked.
    unreadable: AtomicBool,
}

/// What makes two first pages the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FirstPage {
    viewer: Id,
    limit: usize,
    algo: Algo,
    preset: Preset,
    refresh: bool,
    explain: bool,
}

/// Where a page begins.
#[derive(Clone, Debug)]
enum Start {
    Top,
    Newest(Newest),
    Ranked(Ranked),
}

impl Answers {
    /// A ladder over these rungs: this node's store, PostgreSQL, and the breaker around ClickHouse, which decides under
    /// the policy `strict`. `keys` seal the cursors; `cache` bounds what is remembered of readers.
    pub fn new(
        feed: Arc<Feed>,
        fallback: Option<Arc<Fallback>>,
        center: Option<Arc<Breaker>>,
        config: fallback::Config,
        keys: Keys,
        cache: &cache::Config,
    ) -> Self {
        let (pins, lately) = (Pins::new(cache), Lately::new(cache));
        let (first_pages, unreadable) = (Arc::default(), AtomicBool::default());
        Self { feed, fallback, center, config, keys, pins, lately, first_pages, unreadable }
    }

    /// One page at `now_ms`, from the best rung that holds. A cursor goes on with its own chain: in its order, by its
    /// numbers, whatever else is asked for.
    pub async fn page(self: Arc<Self>, request: FeedRequest, now_ms: TimestampMs) -> Result<FeedPage, FeedError> {
        let Some(text) = request.cursor.as_deref() else { return self.first(request, now_ms).await };
        let (request, start) = match cursor::open(&self.keys, request.viewer, text)? {
            Place::Newest(place) => {
                let request = FeedRequest { algo: Algo::Time, preset: place.preset, refresh: false, ..request };
                (request, Start::Newest(place))
            }
            Place::Ranked(place) => {
                let (preset, refresh) = (place.preset, place.refresh);
                (FeedRequest { algo: Algo::Ranked, preset, refresh, ..request }, Start::Ranked(place))
            }
            Place::Trending(_) => return Err(FeedError::BadCursor),
        };
        self.climb(&request, &start, now_ms).await
    }

    /// A first page: one for all who ask for the very same at once.
    async fn first(self: Arc<Self>, request: FeedRequest, now_ms: TimestampMs) -> Result<FeedPage, FeedError> {
        self.feed.note(&request, now_ms);
        let FeedRequest { viewer, limit, algo, preset, refresh, explain, .. } = request;
        let asked_for = FirstPage { viewer, limit, algo, preset, refresh, explain };
        let answers = Arc::clone(&self);
        let make = |now_ms| async move { answers.climb(&request, &Start::Top, now_ms).await.map(Arc::new) };
        let page = self.first_pages.fly(asked_for, now_ms, make).await.ok_or(FeedError::Internal)??;
        Ok(Arc::unwrap_or_clone(page))
    }

    /// Drops a reader's pinned rankings: their cursors go on without. Tells how many there were.
    pub fn forget(&self, viewer: Id, now_ms: TimestampMs) -> usize {
        self.pins.forget(viewer, now_ms)
    }

    /// Drops everything that is kept of a reader between requests: they left.
    pub fn forget_all(&self, viewer: Id, now_ms: TimestampMs) {
        self.forget(viewer, now_ms);
        self.lately.forget(viewer);
    }

    async fn climb(&self, request: &FeedRequest, start: &Start, now_ms: TimestampMs) -> Result<FeedPage, FeedError> {
        let plan = ladder::plan(&self.config, &self.facts(start, now_ms));
        let mut causes = Vec::new();
        for rung in plan.rungs() {
            let made = match rung {
                Rung::Local => self.local(request, start, now_ms).await,
                Rung::Fallback => self.listed(request, start, now_ms).await,
            };
            match made {
                Ok(made) => return Ok(self.finish(made, request.viewer, plan, now_ms)),
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

    /// Memory that pins and what readers were served lately take, in bytes.
    pub fn cached_bytes(&self) -> [(&'static str, u64); 2] {
        [("pins", self.pins.bytes()), ("served", self.lately.bytes())]
    }

    fn facts(&self, start: &Start, now_ms: TimestampMs) -> Facts {
        let lag = self.feed.lag();
        Facts {
            store_holds: lag.holds_anything(),
            store_age_ms: lag.staleness_ms(now_ms),
            center_open: self.center.as_ref().is_some_and(|center| center.state() == State::Open),
            postgres: self.fallback.as_ref().is_some_and(|fallback| fallback.may_be_asked()),
            chain: matches!(start, Start::Newest(Newest { began: Began::Postgres, .. })),
        }
    }

    /// A page from the store: ranked anew, or the chain goes on.
    async fn local(&self, request: &FeedRequest, start: &Start, now_ms: TimestampMs) -> Result<Made, FeedError> {
        let made = match start {
            Start::Ranked(place) => self.next(request, place, now_ms).await,
            Start::Newest(place) => self.newest(request, Some(place.clone()), now_ms).await,
            Start::Top if request.algo == Algo::Time => self.newest(request, None, now_ms).await,
            Start::Top => self.ranked(request, &Served::default(), now_ms).await,
        };
        self.unreadable.store(matches!(made, Err(FeedError::Unavailable(_))), Ordering::Relaxed);
        made
    }

    /// The next page of a chain by score: from its pin, or without what it has shown where the pin is gone.
    async fn next(&self, request: &FeedRequest, place: &Ranked, now_ms: TimestampMs) -> Result<Made, FeedError> {
        let Some(pin) = self.pins.get(request.viewer, place.pin, now_ms) else {
            let mut made = self.ranked(request, &place.served, now_ms).await?;
            made.page.degraded.push(PIN_LOST);
            return Ok(made);
        };
        if let Some(made) = self.feed.pinned_at_once(request, &pin, place, now_ms) {
            return Ok(made);
        }
        let (request, place) = (request.clone(), place.clone());
        self.reading(move |feed| feed.pinned(&request, &pin, &place, now_ms)).await?
    }

    async fn ranked(&self, request: &FeedRequest, shown: &Served, now_ms: TimestampMs) -> Result<Made, FeedError> {
        self.feed.prepare(request.viewer, now_ms).await;
        let lately = if request.refresh { self.lately.served(request.viewer, now_ms) } else { HashSet::new() };
        let (request, shown) = (request.clone(), shown.clone());
        self.reading(move |feed| feed.ranked(&request, &shown, &lately, now_ms)).await?
    }

    async fn newest(
        &self,
        request: &FeedRequest,
        place: Option<Newest>,
        now_ms: TimestampMs,
    ) -> Result<Made, FeedError> {
        self.feed.prepare(request.viewer, now_ms).await;
        let request = request.clone();
        self.reading(move |feed| feed.newest(&request, place.as_ref(), now_ms)).await?
    }

    /// A page that PostgreSQL lists.
    async fn listed(&self, request: &FeedRequest, start: &Start, now_ms: TimestampMs) -> Result<Made, FeedError> {
        let Some(fallback) = &self.fallback else { return Err(FeedError::Unavailable("no PostgreSQL".to_owned())) };
        let begin =
            |served| Newest { below: Keyset::top(now_ms), began: Began::Postgres, preset: request.preset, served };
        let (place, turned) = match start {
            Start::Newest(place) => (place.clone(), false),
            // From here on the chain is newest first, without what it has shown.
            Start::Ranked(place) => (begin(place.served.clone()), true),
            Start::Top => (begin(Served::default()), false),
        };
        let (asking, from) = (request.clone(), place.clone());
        let count = self.reading(move |feed| feed.ask_for(&asking, &from, now_ms)).await?;
        let posts = fallback.newest(request.viewer, place.below, count).await;
        let posts = posts.map_err(|error| FeedError::Unavailable(error.to_string()))?;
        let request = request.clone();
        let mut made = self.reading(move |feed| feed.listed(&request, &place, &posts, count, now_ms)).await?;
        made.page.degraded.extend(turned.then_some(PIN_LOST));
        Ok(made)
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

    /// Says which rung answered and why, and where the chain goes on; remembers what was served.
    fn finish(&self, made: Made, viewer: Id, plan: Plan, now_ms: TimestampMs) -> FeedPage {
        let Made { mut page, next, pin } = made;
        if let Some(pin) = pin {
            self.pins.put(viewer, pin);
        }
        page.cursor = next.map(|place| cursor::seal(&self.keys, viewer, &place));
        self.lately.note(viewer, page.posts.iter().map(|post| post.id.1), now_ms);
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
