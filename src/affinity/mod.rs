//! A reader's history from before this node's own log: store first, then the center, within a small time budget.
//!
//! The answer is a page either way. A history that comes too late for its request is stored for the next one; the
//! breaker around the center, a bound on queries in flight and one query a reader keep a slow center from costing more.

mod begun;
mod fetch;
mod flights;
mod measure;
mod readers;
mod refresh;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_storage::{Store, Viewer};
use edgefeed_sync::breaker::{Breaker, State};
use edgefeed_sync::center::{Center, Config};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use flights::{Departure, Flights};
use readers::Readers;
use refresh::LastRefresh;

pub use begun::begun;
pub(crate) use measure::describe as describe_metrics;

/// The center, and whose part of it is this node's own.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where histories are asked for.
    pub center: Arc<Center>,
    /// Whether it is asked at all; shared with everything that calls it.
    pub breaker: Arc<Breaker>,
    /// `node.cluster`: whose log this node follows.
    pub cluster: String,
    /// Kafka's name of the topic `events`.
    pub topic: String,
}

/// Sees to it that readers' histories are in the store.
pub struct Affinity {
    store: Arc<Store>,
    /// `None`: this node has no center, and every history is its own.
    source: Option<Source>,
    /// Whether this node knows where its own history begins in every partition.
    begun: Box<dyn Fn() -> bool + Send + Sync>,
    budget: Duration,
    refresh_ms: i64,
    readers: Readers,
    flights: Flights,
    slots: Arc<Semaphore>,
    last_refresh: LastRefresh,
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Affinity").field("source", &self.source).field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Affinity {
    /// Histories for the readers of a store. `begun` tells whether the node knows where its own history begins in every
    /// partition ([`begun`]): before, it cannot know what the center must not tell it again.
    pub fn new(
        store: Arc<Store>,
        source: Option<Source>,
        config: &Config,
        begun: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            source,
            begun: Box::new(begun),
            budget: Duration::from_millis(config.affinity_budget_ms),
            refresh_ms: i64::try_from(config.affinity_refresh_s.saturating_mul(1_000)).unwrap_or(i64::MAX),
            readers: Readers::new(config.affinity_users_max),
            flights: Flights::default(),
            slots: Arc::new(Semaphore::new(config.affinity_concurrency)),
            last_refresh: LastRefresh::default(),
        })
    }

    /// Call it before a page of this reader is made. Comes back when there is nothing to wait for any more: the history
    /// is there, or cannot be had now, or the budget is spent.
    pub async fn ensure(self: &Arc<Self>, reader: Id, now_ms: TimestampMs) {
        let Some(source) = &self.source else { return };
        if self.is_known(reader, now_ms).await {
            return;
        }
        match self.depart(source, reader, now_ms) {
            Departure::Waiting(flight) => {
                // Behind the deadline it goes on without us: what it brings is for the next request.
                drop(timeout_at(flight.started + self.budget, flight.landed()).await);
            }
            Departure::Landed => {}
            Departure::Refused => measure::refused(),
        }
    }

    /// Whether the reader's base is in the store and young enough to do without waiting.
    async fn is_known(&self, reader: Id, now_ms: TimestampMs) -> bool {
        let as_of = match self.readers.see(reader, now_ms) {
            Some(as_of) => as_of,
            None => {
                let as_of = self.look_up(reader).await;
                self.readers.note(reader, as_of, now_ms);
                as_of
            }
        };
        let age_ms = as_of.map(|as_of| now_ms.saturating_sub(as_of));
        measure::looked_up(match age_ms {
            Some(age_ms) if age_ms <= self.refresh_ms => "hit",
            Some(_) => "stale",
            None => "miss",
        });
        // The background job renews it before it is that old; a reader who comes back after days is asked about anew.
        age_ms.is_some_and(|age_ms| age_ms <= self.stale_ms())
    }

    /// When the store's base of a reader was taken.
    async fn look_up(&self, reader: Id) -> Option<TimestampMs> {
        let store = Arc::clone(&self.store);
        let started = Instant::now();
        match tokio::task::spawn_blocking(move || store.base_of(reader)).await {
            Ok(Ok(base)) => {
                if base.is_some() {
                    measure::fetched("store", started.elapsed());
                }
                base.map(|base| base.as_of_ms)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a reader's base cannot be read");
                None
            }
            Err(_) => None,
        }
    }

    /// What an answer says of a reader's history: through when it is complete (`None`: unknown), and whether it is
    /// stale. Own history is as fresh as the node, which has applied everything `applied_through` then.
    pub fn mark(
        &self,
        viewer: &Viewer,
        applied_through: Option<TimestampMs>,
        now_ms: TimestampMs,
    ) -> (Option<TimestampMs>, bool) {
        let Some(source) = &self.source else { return (applied_through, false) };
        let Some(base) = viewer.base else { return (None, true) };
        let age_ms = now_ms.saturating_sub(base.as_of_ms);
        let cut_off = age_ms > self.refresh_ms && source.breaker.state() == State::Open;
        let as_of = if base.rows == 0 { applied_through } else { Some(base.as_of_ms) };
        (as_of, cut_off || age_ms > self.stale_ms())
    }

    /// From which age on a base is stale, in milliseconds.
    fn stale_ms(&self) -> i64 {
        self.refresh_ms.saturating_mul(2)
    }

    /// This part's account of itself, for `/status`.
    pub fn snapshot(&self) -> Value {
        let Some(source) = &self.source else { return json!({ "center": false }) };
        json!({
            "center": true,
            "not_asked": self.obstacle(),
            "breaker": source.breaker.snapshot(),
            "readers": self.readers.len(),
            "in_flight": self.flights.len(),
            "last_refresh": self.last_refresh.snapshot(),
        })
    }

    /// Lets go of what is under way; nothing is asked any more.
    pub fn stop(&self) {
        self.slots.close();
        self.flights.stop();
    }
}
