//! How a node comes back: it measures how far Kafka and its store are apart, looks at the newest backups where following
//! Kafka alone will not do, chooses, and says what and why. It serves what it has meanwhile.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_sync::resync::plan::{self, DEFAULT_RATE, Decision, Facts, Step, Survey};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::generation::{Current, Grounds};
use super::rebuild::Rebuilder;
use crate::backup::{Backups, Manifest, Newest, Refused};
use crate::clock::now_ms;
use crate::resync::{JobOrder, Trouble};

/// How often it is looked whether Kafka left this node behind.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks at a job under way.
const WATCH: Duration = Duration::from_millis(100);
/// Between two questions to a Kafka that does not answer.
const LATER: Duration = Duration::from_secs(5);
/// How long it rests after a rebuild that failed.
const AGAIN: Duration = Duration::from_secs(60);
/// How long the place of backups may take to tell of the newest.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a backup that could not be restored is passed over: somebody may have mended what was wrong.
const PASS_OVER: Duration = Duration::from_secs(15 * 60);
/// A replay of fewer records says nothing of how fast this node is.
const TELLING_RECORDS: u64 = 50_000;

/// The planner of a running node.
#[derive(Debug)]
pub(super) struct Rejoin {
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

/// What it did last.
#[derive(Debug, Default)]
struct Told {
    choice: Option<(Facts, Decision)>,
    /// Backups that were looked at and will not do.
    refused: Vec<Refused>,
    /// Why backups could not be looked at.
    unasked: Option<String>,
}

impl Rejoin {
    pub(super) fn start(grounds: &Arc<Grounds>, current: &Current, rebuilder: &Arc<Rebuilder>) -> Self {
        let told = Arc::default();
        let planner = Planner {
            grounds: Arc::clone(grounds),
            current: current.clone(),
            rebuilder: Arc::clone(rebuilder),
            told: Arc::clone(&told),
            failed: Vec::new(),
        };
        Self { told, task: tokio::spawn(planner.run()) }
    }

    /// What `/status` tells.
    pub(super) fn section(&self) -> impl Fn() -> Value + Send + Sync + 'static {
        let told = Arc::clone(&self.told);
        move || {
            let told = told.lock();
            told.choice.as_ref().map_or(Value::Null, |(facts, decision)| {
                json!({
                    "step": decision.step.name(),
                    "why": decision.why,
                    "facts": facts,
                    "backups_refused": told.refused,
                    "backups_not_asked": told.unasked,
                })
            })
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
    told: Arc<Mutex<Told>>,
    /// Backups that could not be restored, and when that was.
    failed: Vec<(Instant, Refused)>,
}

/// What was found, and what can be done with it.
struct Found {
    facts: Facts,
    /// The backup that the facts tell of, and where it is.
    backup: Option<(Backups, Manifest)>,
    refused: Vec<Refused>,
    unasked: Option<String>,
}

impl Planner {
    async fn run(mut self) {
        self.come_back().await;
        // Kafka may leave a running node behind too.
        loop {
            tokio::time::sleep(LOOK).await;
            if self.current.now().lag.gaps().is_empty() || self.rebuilder.seen().running {
                continue;
            }
            self.come_back().await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Chooses and does, until something is done: a backup that fails is passed over for the next choice.
    async fn come_back(&mut self) {
        self.failed.retain(|(at, _)| at.elapsed() < PASS_OVER);
        loop {
            let found = self.found().await;
            let (decision, behind) = (plan::decide(&found.facts), found.facts.measured.behind);
            self.say(&found, &decision);
            match (decision.step, found.backup) {
                (Step::Restore, Some((backups, manifest))) => {
                    let (backup, node) = (manifest.id.clone(), manifest.node.clone());
                    let Err(why) = self.restore(backups, manifest).await else { return };
                    tracing::error!(backup, node, "the backup is refused, and something else chosen: {why}");
                    self.failed.push((Instant::now(), Refused { backup, node, why }));
                }
                (Step::Bootstrap, _) => {
                    if let Err(trouble) = self.rebuilder.order(JobOrder::BOOTSTRAP) {
                        tracing::error!("the rebuild could not be begun: {trouble}");
                    }
                    return;
                }
                (Step::Replay, _) if behind >= TELLING_RECORDS => return self.time_replay(behind).await,
                _ => return,
            }
        }
    }

    /// Says what is done.
    fn say(&self, found: &Found, decision: &Decision) {
        let (step, why) = (decision.step.name(), &decision.why);
        match decision.step {
            Step::Tail | Step::Replay => tracing::info!(step, "coming back: {why}"),
            Step::Restore | Step::Bootstrap => tracing::warn!(step, "coming back: {why}"),
            Step::Gap => tracing::error!(step, "coming back: {why}"),
        }
        let mut told = self.told.lock();
        for Refused { backup, node, why } in found.refused.iter().filter(|refused| !told.refused.contains(refused)) {
            tracing::warn!(backup, node, "the backup will not do: {why}");
        }
        if let Some(why) = found.unasked.as_ref().filter(|why| told.unasked.as_ref() != Some(why)) {
            tracing::warn!("backups were not looked at: {why}");
        }
        *told = Told {
            choice: Some((found.facts.clone(), decision.clone())),
            refused: found.refused.clone(),
            unasked: found.unasked.clone(),
        };
    }

    /// What can be found out, as soon as Kafka answers.
    async fn found(&self) -> Found {
        loop {
            match self.measure().await {
                Ok((facts, survey)) => return self.with_backup(facts, &survey).await,
                Err(why) => tracing::debug!("how far the store is behind is not known yet: {why}"),
            }
            tokio::time::sleep(LATER).await;
        }
    }

    async fn measure(&self) -> Result<(Facts, Survey), String> {
        let (store, config) = (Arc::clone(&self.current.now().store), &self.grounds.config);
        let (kafka, sink) = (config.kafka.clone(), config.sink.clone());
        let asked = spawn_blocking(move || {
            let positions = store.positions().map_err(|error| error.to_string())?;
            let rate = store.replay_rate().map_err(|error| error.to_string())?;
            let survey = Survey::take(&kafka, &sink).map_err(|error| error.to_string())?;
            Ok((positions, rate, survey))
        });
        let asked: Result<_, String> = asked.await.unwrap_or_else(|_| Err("measuring panicked".to_owned()));
        let (positions, rate, survey) = asked?;
        let facts = Facts {
            measured: survey.measured(&positions),
            rate: rate.map_or(DEFAULT_RATE, |rate| rate as f64),
            kept_for_s: survey.kept_for_s(&plan::reach(&positions), now_ms()),
            checkpoint: None,
            center: self.grounds.outside.is_some(),
            auto: config.resync.auto,
        };
        Ok((facts, survey))
    }

    /// Adds the backup that is the best to start from, where one may be wanted.
    async fn with_backup(&self, mut facts: Facts, survey: &Survey) -> Found {
        let mut refused: Vec<Refused> = self.failed.iter().map(|(_, refused)| refused.clone()).collect();
        if !self.grounds.config.backup.is_set() || plan::decide(&facts).step == Step::Tail {
            return Found { facts, backup: None, refused, unasked: None };
        }
        let (backups, newest) = match self.newest().await {
            Ok(found) => found,
            Err(why) => return Found { facts, backup: None, refused, unasked: Some(why) },
        };
        refused.extend(newest.refused);
        let now_ms = now_ms();
        let held = newest.usable.into_iter().map(|manifest| {
            let (name, created_ms) = ((manifest.id.as_str(), manifest.node.as_str()), manifest.created_at_ms);
            (survey.checkpoint(name, created_ms, &manifest.reach(), now_ms), manifest)
        });
        let best = held.min_by_key(|(checkpoint, _)| (!checkpoint.continued, checkpoint.behind));
        let (checkpoint, manifest) = best.unzip();
        facts.checkpoint = checkpoint;
        Found { facts, backup: manifest.map(|manifest| (backups, manifest)), refused, unasked: None }
    }

    async fn newest(&self) -> Result<(Backups, Newest), String> {
        let backups = Backups::open(&self.grounds.config).map_err(|error| error.to_string())?;
        let failed = |node: &str, id: &str| self.failed.iter().any(|(_, not)| (&*not.node, &*not.backup) == (node, id));
        let asked = timeout(ANSWER_WITHIN, backups.newest(self.grounds.config.node.ids, failed)).await;
        let newest = asked
            .map_err(|_| format!("backup.url: it did not tell of the newest backups within {ANSWER_WITHIN:?}"))?
            .map_err(|error| error.to_string())?;
        Ok((backups, newest))
    }

    /// Puts a backup in the store's place, and waits for it.
    async fn restore(&self, backups: Backups, manifest: Manifest) -> Result<(), String> {
        let begun = loop {
            match self.rebuilder.restore(backups.clone(), manifest.clone()) {
                Ok(begun) => break begun,
                Err(Trouble::Busy(_)) => tokio::time::sleep(LATER).await,
                Err(trouble @ Trouble::Asked(_)) => return Err(trouble.to_string()),
            }
        };
        loop {
            let seen = self.rebuilder.seen();
            if seen.number != begun.number {
                // Another job came behind it at once. If this one failed, there still is a gap to come back from.
                return Ok(());
            }
            if !seen.running {
                return seen.error.map_or(Ok(()), Err);
            }
            tokio::time::sleep(WATCH).await;
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
