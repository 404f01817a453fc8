//! Everything that stands on one store: started together, stopped together, and replaced as a whole when the store is
//! rebuilt beside the one that serves.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use edgefeed_storage::Store;
use edgefeed_storage::model::Id;
use edgefeed_sync::breaker::Breaker;
use edgefeed_sync::sink::Sink;
use edgefeed_sync::{Lag, Materializer};
use parking_lot::Mutex;

use super::discover::Discover;
use super::inward::Inward;
use super::jobs::Jobs;
use super::outward::{self, Outside};
use crate::affinity::{self, Affinity, Source};
use crate::clock::now_ms;
use crate::config::Config;
use crate::cursor;
use crate::failure::Failure;
use crate::fallback::Fallback;
use crate::feed::{Answers, Feed};
use crate::kept::Kept;
use crate::trending::TrendingPosts;
use crate::tuning::{Requests, Tuning};

/// How long following Kafka may take to stop: the batch being applied, and the library's own goodbye.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What outlives a store: the configuration, and other parties.
#[derive(Debug)]
pub(super) struct Grounds {
    pub(super) config: Config,
    pub(super) tuning: Arc<Tuning>,
    pub(super) requests: Arc<Requests>,
    pub(super) keys: cursor::Keys,
    pub(super) outside: Option<Outside>,
    pub(super) fallback: Option<Arc<Fallback>>,
    /// Around sending events to Kafka.
    pub(super) kafka: Arc<Breaker>,
}

/// A store and what stands on it.
#[derive(Debug)]
pub struct Generation {
    /// What is kept.
    pub store: Arc<Store>,
    /// How far it has come.
    pub lag: Arc<Lag>,
    /// What is answered from the store itself.
    pub feed: Arc<Feed>,
    /// What is answered, from whichever rung holds.
    pub answers: Arc<Answers>,
    /// Histories from the center.
    pub(super) affinity: Arc<Affinity>,
    /// What readers discover beside their feed.
    pub(super) discover: Discover,
    /// Events that are posted.
    pub(super) inward: Inward,
    warm: Box<dyn Warm>,
    running: Mutex<Running>,
}

/// Whether the store has been read into memory.
trait Warm: Fn() -> bool + Send + Sync {}
impl<F: Fn() -> bool + Send + Sync> Warm for F {}

impl std::fmt::Debug for dyn Warm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Warm")
    }
}

/// The parts that have threads; each is taken out when it is stopped.
#[derive(Debug, Default)]
struct Running {
    materializer: Option<Materializer>,
    jobs: Option<Jobs>,
    sink: Option<Arc<Sink>>,
}

impl Generation {
    /// Starts to follow Kafka into a store and to answer from it. The sink is another step: a group has one member a node.
    pub(super) fn start(grounds: &Grounds, store: Arc<Store>) -> Result<Arc<Self>, Failure> {
        let config = &grounds.config;
        let materializer = Materializer::start(&config.kafka, Arc::clone(&store), Arc::new(now_ms))
            .map_err(|error| Failure::failed(error.to_string()))?;
        let lag = materializer.lag();
        let trending = Arc::new(TrendingPosts::default());
        let affinity = histories(config, &store, &lag, grounds.outside.as_ref());
        let feed = Feed::new(Arc::clone(&store), Arc::clone(&trending), Arc::clone(&lag), Arc::clone(&grounds.tuning));
        let feed = feed.with_histories(Arc::clone(&affinity)).with_requests(Arc::clone(&grounds.requests));
        let feed = Arc::new(feed);
        let answers = Arc::new(Answers::new(
            Arc::clone(&feed),
            grounds.fallback.clone(),
            grounds.outside.as_ref().map(|outside| Arc::clone(&outside.breaker)),
            config.fallback.clone(),
            grounds.keys.clone(),
            &config.cache,
        ));
        let discover = Discover::new(&store, &lag, &trending, grounds.keys.clone());
        let mut jobs = Jobs::start(config, &store, &trending);
        jobs.renew_histories(&affinity);
        discover.keep(&mut jobs);
        jobs.keep_requests(&grounds.requests);
        let (kept_pages, kept_requests) = (Arc::clone(&answers), Arc::clone(&grounds.requests));
        jobs.forget_users(&store, move |users| forget_beside(&kept_pages, &kept_requests, users));
        let warm = Box::new(jobs.warm());
        let inward = Inward::open(config, &store, &lag, &grounds.kafka)?;
        let running = Mutex::new(Running { materializer: Some(materializer), jobs: Some(jobs), sink: None });
        Ok(Arc::new(Self { store, lag, feed, answers, affinity, discover, inward, warm, running }))
    }

    /// Starts this node's share of the sink, where it has the role.
    pub(super) fn start_sink(&self, grounds: &Grounds) -> Result<(), Failure> {
        let sink = outward::sink(&grounds.config, grounds.outside.as_ref(), &self.store, &self.lag)?;
        self.running.lock().sink = sink;
        Ok(())
    }

    /// This node's share of the sink.
    pub(super) fn sink(&self) -> Option<Arc<Sink>> {
        self.running.lock().sink.clone()
    }

    /// Whether the store has been read into memory since the start.
    pub(super) fn is_warm(&self) -> bool {
        (self.warm)()
    }

    /// Stops everything; what was applied is synced.
    pub(super) async fn stop(&self) -> Result<(), Failure> {
        self.inward.intake.close().await;
        let Running { materializer, jobs, sink } = std::mem::take(&mut *self.running.lock());
        if let Some(jobs) = jobs {
            jobs.stop().await;
        }
        self.affinity.stop();
        let store = Arc::clone(&self.store);
        let stopped = tokio::task::spawn_blocking(move || {
            // While the store still follows Kafka: the sink waits for it to end a range.
            let left = sink.map_or(Ok(()), |sink| outward::stop(&sink));
            let stop = |materializer: Materializer| materializer.stop(STOP_PATIENCE).map_err(|error| error.to_string());
            let stopped = materializer.map_or(Ok(()), stop);
            let synced = store.sync().map_err(|error| error.to_string());
            left.and(stopped).and(synced)
        });
        match stopped.await {
            Ok(result) => result.map_err(Failure::failed),
            Err(_) => Err(Failure::failed("stopping the node panicked; the store recovers at the next start")),
        }
    }
}

/// The generation that serves. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Current(Arc<ArcSwap<Generation>>);

impl Current {
    pub(super) fn new(first: Arc<Generation>) -> Self {
        Self(Arc::new(ArcSwap::new(first)))
    }

    /// The one that serves now. Ask for each piece of work anew: what is held keeps its whole store open.
    pub fn now(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    /// Its store, for those who need only that.
    pub fn kept(&self) -> Kept {
        let current = self.clone();
        Kept::found_by(move || Arc::clone(&current.now().store))
    }

    /// Puts another in its place; gives back the one that served.
    pub(super) fn replace(&self, next: Arc<Generation>) -> Arc<Generation> {
        self.0.swap(next)
    }
}

/// Drops what is kept of users beside the store: their pages, and their requests of late.
pub(super) fn forget_beside(answers: &Answers, requests: &Requests, users: &[Id]) {
    for user in users {
        answers.forget_all(*user, now_ms());
        if let Err(error) = requests.forget(*user) {
            tracing::error!(%error, "requests of a user who left are still kept beside the store");
        }
    }
}

/// Histories from the center, where there is one.
fn histories(config: &Config, store: &Arc<Store>, lag: &Arc<Lag>, outside: Option<&Outside>) -> Arc<Affinity> {
    let source = outside.map(|outside| Source {
        center: Arc::clone(&outside.center),
        breaker: Arc::clone(&outside.breaker),
        cluster: config.node.cluster.clone(),
        topic: config.kafka.topics.events.clone(),
    });
    Affinity::new(Arc::clone(store), source, &config.clickhouse, affinity::begun(store, lag))
}
