//! Jobs of a running node, one at a time. A rebuild makes the next generation beside the one that serves, lets it
//! catch up, and only then puts it in its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_sync::resync::{Config, Refresh, Report};
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
    pub(super) grounds: Arc<Grounds>,
    pub(super) current: Current,
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
        let this = Arc::clone(self);
        self.begin(order.job, order.dry_run, |report| async move { this.run(&outside, &order, &report).await })
    }

    /// Has a job go on by itself, and writes up what comes of it.
    pub(super) fn begin<F: Future<Output = Result<Value, String>> + Send + 'static>(
        self: &Arc<Self>,
        job: Job,
        dry_run: bool,
        work: impl FnOnce(Report) -> F,
    ) -> Result<Seen, Trouble> {
        if self.stop.load(Ordering::Acquire) {
            return Err(Trouble::Busy("the node is stopping".to_owned()));
        }
        let work = work(self.board.begin(job, now_ms())?);
        let this = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let outcome = work.await;
            match &outcome {
                Ok(done) if !dry_run => {
                    tracing::info!(job = job.name(), outcome = %done, "job done");
                    metrics::job_done(job.name(), now_ms());
                }
                Ok(_) => {}
                Err(error) => tracing::error!(job = job.name(), "job failed: {error}"),
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
            Job::Verify | Job::Repair => {
                report.begin("comparing node, center and log");
                let store = Arc::clone(&self.current.now().store);
                let told = resync::audit(&self.grounds.config, &outside.center, &store, order).await?;
                serde_json::to_value(told).map_err(|error| error.to_string())
            }
            Job::Restore => Err(JobOrder::NO_RESTORE.to_owned()),
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
        self.come_to_serve(next, epoch).await?;
        serde_json::to_value(outcome).map_err(|error| error.to_string())
    }

    /// Starts the next generation over a store, lets it catch up, and puts it in the place of the one that serves. Where that
    /// fails nobody has the store open any more.
    pub(super) async fn come_to_serve(&self, store: Arc<Store>, epoch: u32) -> Result<(), String> {
        let next = Generation::start(&self.grounds, store).map_err(|failure| failure.to_string())?;
        let Err(why) = self.catch_up(&next).await else { return self.take_over(next, epoch).await };
        drop(next.stop().await);
        let left = Arc::downgrade(&next.store);
        drop(next);
        let_go(&left).await;
        Err(why)
    }

    pub(super) async fn open(&self, serving: Arc<Store>, epoch: u32) -> Result<Arc<Store>, String> {
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
                return Err("the node is stopping; order it again, it goes on behind what was done".to_owned());
            }
            if let Some(failure) = next.lag.failure() {
                return Err(format!("the new store does not follow Kafka: {failure}"));
            }
            if let Some((at, gap)) = next.lag.gaps().into_iter().next() {
                let topic = at.topic.name();
                return Err(format!(
                    "GAP: Kafka's log does not continue {topic}-{} of the new store ({:?})",
                    at.partition, gap.reason
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The next generation answers from now on, here and after any start. Then the old one stops and goes.
    async fn take_over(&self, next: Arc<Generation>, epoch: u32) -> Result<(), String> {
        let storage = self.grounds.config.storage.clone();
        let (store, current) = (Arc::clone(&next.store), storage.clone());
        let flipped = spawn_blocking(move || store.make_current(&current)).await;
        let flipped = flipped.map_err(|_| "making the new store the current one panicked; this is a bug".to_owned());
        if let Err(why) = flipped.and_then(|flipped| flipped.map_err(|error| error.to_string())) {
            drop(next.stop().await);
            return Err(why);
        }
        let old = self.current.replace(Arc::clone(&next));
        tracing::info!(epoch, "the new store answers from now on");
        if let Err(failure) = old.stop().await {
            tracing::warn!("stopping what stood on the old store: {failure}");
        }
        if let Err(failure) = next.start_sink(&self.grounds) {
            tracing::error!("the sink could not be started over the new store: {failure}");
        }
        let left = Arc::downgrade(&old.store);
        drop(old);
        if !let_go(&left).await {
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
        Ok(())
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

    /// Completes when the node stops.
    pub(super) async fn stopping(&self) {
        while !self.stop.load(Ordering::Acquire) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What `/status` tells.
    pub(super) fn section(&self) -> Value {
        serde_json::to_value(self.board.seen()).unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }
}

/// Waits until nobody has a store any more; tells whether that came to be.
async fn let_go(store: &Weak<Store>) -> bool {
    let deadline = Instant::now() + LET_GO;
    while store.strong_count() > 0 && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    store.strong_count() == 0
}
