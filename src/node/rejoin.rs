//! How a node comes back: it measures how far Kafka and its store are apart, chooses, and says what and why. It serves what
//! it has meanwhile.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_sync::resync::plan::{self, Checkpoint, DEFAULT_RATE, Decision, Facts, Step};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::generation::{Current, Grounds};
use super::rebuild::Rebuilder;
use crate::clock::now_ms;
use crate::resync::JobOrder;

/// How often it is looked whether Kafka left this node behind.
const LOOK: Duration = Duration::from_secs(2);
/// Between two questions to a Kafka that does not answer.
const LATER: Duration = Duration::from_secs(5);
/// How long it rests after a rebuild that failed.
const AGAIN: Duration = Duration::from_secs(60);
/// A replay of fewer records says nothing of how fast this node is.
const TELLING_RECORDS: u64 = 50_000;

/// The planner of a running node.
#[derive(Debug)]
pub(super) struct Rejoin {
    last: Arc<Mutex<Option<(Facts, Decision)>>>,
    task: JoinHandle<()>,
}

impl Rejoin {
    pub(super) fn start(grounds: &Arc<Grounds>, current: &Current, rebuilder: &Arc<Rebuilder>) -> Self {
        let last = Arc::default();
        let planner = Planner {
            grounds: Arc::clone(grounds),
            current: current.clone(),
            rebuilder: Arc::clone(rebuilder),
            last: Arc::clone(&last),
        };
        Self { last, task: tokio::spawn(planner.run()) }
    }

    /// What `/status` tells.
    pub(super) fn section(&self) -> impl Fn() -> Value + Send + Sync + 'static {
        let last = Arc::clone(&self.last);
        move || {
            let last = last.lock();
            last.as_ref().map_or(
                Value::Null,
                |(facts, decision)| json!({ "step": decision.step.name(), "why": decision.why, "facts": facts }),
            )
        }
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

struct Planner {
    grounds: Arc<Grounds>,
    current: Current,
    rebuilder: Arc<Rebuilder>,
    last: Arc<Mutex<Option<(Facts, Decision)>>>,
}

impl Planner {
    async fn run(self) {
        let facts = self.measured().await;
        self.follow(facts).await;
        // Kafka may leave a running node behind too.
        loop {
            tokio::time::sleep(LOOK).await;
            if self.current.now().lag.gaps().is_empty() || self.rebuilder.seen().running {
                continue;
            }
            let facts = self.measured().await;
            self.follow(facts).await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What can be measured, as soon as Kafka answers.
    async fn measured(&self) -> Facts {
        loop {
            match self.measure().await {
                Ok(facts) => return facts,
                Err(why) => tracing::debug!("how far the store is behind is not known yet: {why}"),
            }
            tokio::time::sleep(LATER).await;
        }
    }

    async fn measure(&self) -> Result<Facts, String> {
        let (store, config) = (Arc::clone(&self.current.now().store), &self.grounds.config);
        let (kafka, sink) = (config.kafka.clone(), config.sink.clone());
        let asked = spawn_blocking(move || {
            let positions = store.positions().map_err(|error| error.to_string())?;
            let rate = store.replay_rate().map_err(|error| error.to_string())?;
            let measured = plan::measure(&kafka, &sink, &positions).map_err(|error| error.to_string())?;
            let kept_for_s = plan::kept_for_s(&kafka, &positions, &measured, now_ms());
            Ok((measured, rate, kept_for_s))
        });
        let asked: Result<_, String> = asked.await.unwrap_or_else(|_| Err("measuring panicked".to_owned()));
        let (measured, rate, kept_for_s) = asked?;
        Ok(Facts {
            measured,
            rate: rate.map_or(DEFAULT_RATE, |rate| rate as f64),
            kept_for_s,
            checkpoint: newest_backup(),
            center: self.grounds.outside.is_some(),
            auto: config.resync.auto,
        })
    }

    /// Says what is done, and does it.
    async fn follow(&self, facts: Facts) {
        let decision = plan::decide(&facts);
        let (step, why) = (decision.step.name(), decision.why.clone());
        match decision.step {
            Step::Tail | Step::Replay => tracing::info!(step, "coming back: {why}"),
            Step::Restore | Step::Bootstrap => tracing::warn!(step, "coming back: {why}"),
            Step::Gap => tracing::error!(step, "coming back: {why}"),
        }
        let behind = facts.measured.behind;
        *self.last.lock() = Some((facts, decision.clone()));
        match decision.step {
            Step::Bootstrap => {
                if let Err(trouble) = self.rebuilder.order(JobOrder::BOOTSTRAP) {
                    tracing::error!("the rebuild could not be begun: {trouble}");
                }
            }
            Step::Replay if behind >= TELLING_RECORDS => self.time_replay(behind).await,
            _ => {}
        }
    }

    /// How many records a second this node applies, noted for the next time.
    async fn time_replay(&self, behind: u64) {
        let begun = Instant::now();
        // Of a store that is replaced meanwhile nothing is to be kept alive.
        let (lag, store) = {
            let now = self.current.now();
            (Arc::clone(&now.lag), Arc::downgrade(&now.store))
        };
        while !lag.caught_up() {
            if store.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let rate = (behind as f64 / begun.elapsed().as_secs_f64().max(0.001)) as u64;
        let Some(store) = store.upgrade() else { return };
        match spawn_blocking(move || store.note_replay_rate(rate)).await {
            Ok(Ok(())) => tracing::info!(records = behind, rate, "caught up"),
            Ok(Err(error)) => tracing::warn!(%error, "the rate of a replay could not be noted"),
            Err(_) => {}
        }
    }
}

/// The newest backup that this node could be started from.
const fn newest_backup() -> Option<Checkpoint> {
    None
}
