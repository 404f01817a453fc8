//! What a node does on the side: syncing the log, finding trending posts, dropping what is old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edgefeed_storage::model::Id;
use edgefeed_storage::{Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant as TokioInstant, Interval, MissedTickBehavior, interval_at};

use crate::affinity::Affinity;
use crate::clock::now_ms;
use crate::config::Config;
use crate::metrics;
use crate::suggest::Suggestions;
use crate::trending::TrendingPosts;
use crate::tuning::Requests;

const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// How often the store is asked whether somebody left.
const FORGET_EVERY: Duration = Duration::from_secs(1);
const MEASURE_EVERY: Duration = Duration::from_secs(5);
const REQUESTS_EVERY: Duration = Duration::from_secs(10);
const HISTORIES_EVERY: Duration = Duration::from_secs(30);
const SUGGESTIONS_EVERY: Duration = Duration::from_secs(5);

/// The running jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    warm: Arc<AtomicBool>,
}

impl Jobs {
    pub(super) fn start(config: &Config, store: &Arc<Store>, trending: &Arc<TrendingPosts>) -> Self {
        let mut jobs = Self { stop: watch::Sender::new(false), tasks: JoinSet::new(), warm: Arc::default() };
        jobs.warm_up(store, trending);
        let kept = Arc::clone(store);
        jobs.every("wal_sync", Duration::from_millis(config.storage.wal_sync_ms.max(1)), move || sync(&kept));
        let (kept, found) = (Arc::clone(store), Arc::clone(trending));
        jobs.every("trending", Duration::from_millis(config.ranking.trending_refresh_ms), move || {
            found.refresh(&kept, now_ms());
            Ok(())
        });
        let kept = Arc::clone(store);
        jobs.every("maintain", MAINTAIN_EVERY, move || kept.maintain(now_ms()));
        let kept = Arc::clone(store);
        jobs.every("measure", MEASURE_EVERY, move || {
            metrics::store(&kept);
            Ok(())
        });
        jobs
    }

    /// Whether the store has been read into memory since the start.
    pub(super) fn warm(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let warm = Arc::clone(&self.warm);
        move || warm.load(Ordering::Acquire)
    }

    fn warm_up(&mut self, store: &Arc<Store>, trending: &Arc<TrendingPosts>) {
        let (store, trending, warm) = (Arc::clone(store), Arc::clone(trending), Arc::clone(&self.warm));
        self.tasks.spawn_blocking(move || {
            let _done = Done(warm);
            let started = Instant::now();
            match store.warm(now_ms()) {
                Ok(()) => tracing::info!(duration_ms = started.elapsed().as_millis(), "store read into memory"),
                // Everything is loaded when asked for all the same, only more slowly.
                Err(error) => tracing::error!(%error, "the store could not be read into memory at once"),
            }
            trending.refresh(&store, now_ms());
        });
    }

    /// Runs a job on a thread of its own kind every so often, never twice at a time.
    fn every(
        &mut self,
        name: &'static str,
        period: Duration,
        job: impl Fn() -> Result<(), StoreError> + Send + Sync + 'static,
    ) {
        let mut stop = self.stop.subscribe();
        let job = Arc::new(job);
        self.tasks.spawn(async move {
            let mut ticks = ticks(period);
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    _ = ticks.tick() => {}
                }
                let job = Arc::clone(&job);
                match tokio::task::spawn_blocking(move || job()).await {
                    Ok(Ok(())) => metrics::job_done(name, now_ms()),
                    Ok(Err(error)) => tracing::error!(job = name, %error, "background job failed"),
                    Err(_) => tracing::error!(job = name, "background job panicked"),
                }
            }
        });
    }

    /// Finds anew what is suggested to readers lately seen.
    pub(super) fn renew_suggestions(&mut self, suggestions: &Arc<Suggestions>) {
        let suggestions = Arc::clone(suggestions);
        self.every("suggested_users", SUGGESTIONS_EVERY, move || suggestions.renew(now_ms()).map(drop));
    }

    /// Renews the histories of readers lately seen. A run that is under way when the node stops is given up.
    pub(super) fn renew_histories(&mut self, affinity: &Arc<Affinity>) {
        let (mut stop, affinity) = (self.stop.subscribe(), Arc::clone(affinity));
        self.tasks.spawn(async move {
            let mut ticks = ticks(HISTORIES_EVERY);
            let run = async {
                loop {
                    ticks.tick().await;
                    match affinity.refresh_active(now_ms()).await {
                        Ok(_) => metrics::job_done("histories", now_ms()),
                        // The breaker has said it already, and `/status` tells.
                        Err(failed) => tracing::debug!("histories not renewed: {failed}"),
                    }
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = run => {}
            }
        });
    }

    /// Keeps the requests of late beside the store.
    pub(super) fn keep_requests(&mut self, requests: &Arc<Requests>) {
        let requests = Arc::clone(requests);
        self.every("recent_requests", REQUESTS_EVERY, move || {
            requests.keep();
            Ok(())
        });
    }

    /// Removes what is kept of users who left: `elsewhere` than in the store first.
    pub(super) fn forget_users(&mut self, store: &Arc<Store>, elsewhere: impl Fn(&[Id]) + Send + Sync + 'static) {
        let (kept, stopping) = (Arc::clone(store), self.stopping());
        self.every("forget", FORGET_EVERY, move || {
            let users = kept.unswept();
            if users.is_empty() {
                return Ok(());
            }
            elsewhere(&users);
            let removed = kept.sweep_forgotten(|| !stopping())?.unwrap_or_default();
            tracing::info!(users = users.len(), ?removed, "what was kept of users who left is removed");
            Ok(())
        });
    }

    /// Whether the node stops: for long work on threads that may wait.
    fn stopping(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let stop = self.stop.subscribe();
        move || *stop.borrow()
    }

    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The first one after a period: at a start there is nothing to tidy up, and the warm-up has the store.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval_at(TokioInstant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Says that the warm-up is over, however it ended.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn sync(store: &Store) -> Result<(), StoreError> {
    let started = Instant::now();
    store.sync()?;
    ::metrics::histogram!("edgefeed_store_sync_duration_seconds").record(started.elapsed().as_secs_f64());
    Ok(())
}
