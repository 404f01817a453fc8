//! Jobs against the center in a running node. A rebuild makes the next generation beside the one that serves, lets it
//! catch up, and only then puts it in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_sync::resync::{Config, Outcome, Refresh, Report};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::generation::{Current, Generation, Grounds};
use super::outward::Outside;
use crate::clock::now_ms;
use crate::metrics;
use crate::resync::{self, Board, Job, JobOrder, Seen, Trouble};

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// How long requests that are answered from the old store may take to let go of it.
const LET_GO: Duration = Duration::from_secs(30);
/// How often it is looked whether a day is over.
const REFRESH_EVERY: Duration = Duration::from_secs(600);

/// Does one job at a time.
#[derive(Debug)]
pub(super) struct Rebuilder {
    grounds: Arc<Grounds>,
    current: Current,
    board: Board,
    stop: Arc<AtomicBool>,
    runtime: Handle,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Rebuilder {
    /// Call it on the runtime that jobs are to run on.
    pub(super) fn new(grounds: &Arc<Grounds>, current: &Current) -> Arc<Self> {
        let rebuilder = Arc::new(Self {
            grounds: Arc::clone(grounds),
            current: current.clone(),
            board: Board::default(),
            stop: Arc::default(),
            runtime: Handle::current(),
            tasks: Mutex::default(),
        });
        let settings = &grounds.config.resync;
        if grounds.outside.is_some() && settings.refresh == Refresh::Active {
            let scheduled = Arc::clone(&rebuilder);
            rebuilder.tasks.lock().push(rebuilder.runtime.spawn(async move { scheduled.refresh_daily().await }));
        }
        rebuilder
    }

    /// How the last job stands.
    pub(super) fn seen(&self) -> Seen {
        self.board.seen()
    }

    fn config(&self) -> &Config {
        &self.grounds.config.resync
    }

    /// Begins a job.
    pub(super) fn order(self: &Arc<Self>, order: JobOrder) -> Result<Seen, Trouble> {
        let Some(outside) = self.grounds.outside.clone() else {
            return Err(Trouble::Asked("clickhouse.url is not set: this node has no center".to_owned()));
        };
        order.check(self.grounds.config.node.ids).map_err(Trouble::Asked)?;
        if self.stop.load(Ordering::Acquire) {
            return Err(Trouble::Busy("the node is stopping".to_owned()));
        }
        let report = self.board.begin(order.job, now_ms())?;
        let this = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let outcome = this.run(&outside, &order, &report).await;
            match &outcome {
                Ok(done) if !order.dry_run => {
                    tracing::info!(job = order.job.name(), outcome = %done, "job against the center done");
                    metrics::job_done(order.job.name(), now_ms());
                }
                Ok(_) => {}
                Err(error) => tracing::error!(job = order.job.name(), "job against the center failed: {error}"),
            }
            this.board.end(outcome, now_ms());
        });
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
        Ok(self.board.seen())
    }

    async fn run(&self, outside: &Outside, order: &JobOrder, report: &Report) -> Result<Value, String> {
        match order.job {
            Job::Bootstrap => self.bootstrap(outside, order.dry_run, report).await,
            Job::Refresh => {
                let store = Arc::clone(&self.current.now().store);
                let (config, center) = (&self.grounds.config, &outside.center);
                let refresher = resync::refresher(config, center, &outside.breaker, &store, report);
                let done = resync::refresh(&refresher, config, order).await?;
                serde_json::to_value(done).map_err(|error| error.to_string())
            }
        }
    }

    async fn bootstrap(&self, outside: &Outside, dry_run: bool, report: &Report) -> Result<Value, String> {
        let config = &self.grounds.config;
        let boot = resync::bootstrap(config, &outside.center, &outside.breaker, report, &self.stop);
        let serving = Arc::clone(&self.current.now().store);
        let place = resync::place(config, Some(Arc::clone(&serving)));
        if dry_run {
            let would = boot.dry_run(&place).await.map_err(|error| error.to_string())?;
            return serde_json::to_value(would).map_err(|error| error.to_string());
        }
        let (build, outcome) = boot.run(&place).await.map_err(|error| error.to_string())?;
        drop(place);
        let epoch = build.epoch();
        // Its hold on the database goes before somebody opens it.
        drop(build);
        let next = self.open(serving, epoch).await?;
        let next = Generation::start(&self.grounds, next).map_err(|failure| failure.to_string())?;
        match self.catch_up(&next).await {
            Ok(()) => self.take_over(next, &outcome).await,
            Err(why) => {
                drop(next.stop().await);
                Err(why)
            }
        }
    }

    async fn open(&self, serving: Arc<Store>, epoch: u32) -> Result<Arc<Store>, String> {
        let (storage, options) = (self.grounds.config.storage.clone(), self.grounds.config.store_options());
        let opened = spawn_blocking(move || serving.beside(&storage, options, epoch).map(Arc::new)).await;
        opened
            .map_err(|_| "opening the rebuilt store panicked; this is a bug".to_owned())?
            .map_err(|error| error.to_string())
    }

    /// Waits until the next generation has applied what Kafka has, and has it in memory. The old one answers meanwhile.
    async fn catch_up(&self, next: &Generation) -> Result<(), String> {
        while !(next.lag.caught_up() && next.is_warm()) {
            if self.stop.load(Ordering::Acquire) {
                return Err("the node is stopping; the rebuild goes on at the next order".to_owned());
            }
            if let Some(failure) = next.lag.failure() {
                return Err(format!("the rebuilt store does not follow Kafka: {failure}"));
            }
            if let Some((at, gap)) = next.lag.gaps().into_iter().next() {
                let topic = at.topic.name();
                return Err(format!(
                    "GAP: Kafka dropped {topic}-{} meanwhile ({:?}); order it again",
                    at.partition, gap.reason
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The next generation answers from now on, here and after any start. Then the old one stops and goes.
    async fn take_over(&self, next: Arc<Generation>, outcome: &Outcome) -> Result<Value, String> {
        let storage = self.grounds.config.storage.clone();
        let (store, current) = (Arc::clone(&next.store), storage.clone());
        let flipped = spawn_blocking(move || store.make_current(&current)).await;
        let flipped =
            flipped.map_err(|_| "making the rebuilt store the current one panicked; this is a bug".to_owned());
        if let Err(why) = flipped.and_then(|flipped| flipped.map_err(|error| error.to_string())) {
            drop(next.stop().await);
            return Err(why);
        }
        let old = self.current.replace(Arc::clone(&next));
        tracing::info!(epoch = outcome.epoch, "the rebuilt store answers from now on");
        if let Err(failure) = old.stop().await {
            tracing::warn!("stopping what stood on the old store: {failure}");
        }
        if let Err(failure) = next.start_sink(&self.grounds) {
            tracing::error!("the sink could not be started over the rebuilt store: {failure}");
        }
        let left = Arc::downgrade(&old.store);
        drop(old);
        let deadline = Instant::now() + LET_GO;
        while left.strong_count() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        if left.strong_count() > 0 {
            tracing::warn!("somebody still holds the old store; it goes with the next start");
        } else {
            let store = Arc::clone(&next.store);
            match spawn_blocking(move || store.remove_earlier(&storage)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!("the old store could not be removed, it goes with the next start: {error}");
                }
                Err(_) => tracing::error!("removing the old store panicked; this is a bug"),
            }
        }
        serde_json::to_value(outcome).map_err(|error| error.to_string())
    }

    /// Renews histories once a day is over.
    async fn refresh_daily(self: Arc<Self>) {
        let mut last = None;
        loop {
            tokio::time::sleep(REFRESH_EVERY).await;
            let grace_ms = i64::try_from(self.config().refresh_grace_s).unwrap_or(0).saturating_mul(1_000);
            let due = edgefeed_storage::model::day_of(now_ms() - grace_ms);
            if last == Some(due) || !self.current.now().lag.caught_up() {
                continue;
            }
            let order = JobOrder { job: Job::Refresh, dry_run: false, all: false, users: None };
            let Ok(begun) = self.order(order) else { continue };
            while self.board.seen().number == begun.number && self.board.seen().running {
                tokio::time::sleep(LOOK).await;
            }
            let seen = self.board.seen();
            last = (seen.number == begun.number && seen.error.is_none()).then_some(due).or(last);
        }
    }

    /// Has everything end; what is done of a rebuild is kept.
    pub(super) async fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let running = self.board.seen().running;
        for task in tasks {
            // The schedule has nothing to put away; a job has.
            if !running {
                task.abort();
            }
            drop(tokio::time::timeout(LET_GO, task).await);
        }
    }

    /// What `/status` tells.
    pub(super) fn section(&self) -> Value {
        serde_json::to_value(self.board.seen()).unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }
}
