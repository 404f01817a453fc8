//! What the node does about what it keeps: backups by the clock, and the forgetting of users who left.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::outward::Outside;
use crate::backup::{Keeper, State};
use crate::clock::now_ms;
use crate::config::{Config, Role};
use crate::forget::{Forgetter, Hook, Rounds};
use crate::inspect::Inspector;
use crate::kept::Kept;
use crate::metrics;
use crate::status::Status;

/// How often the center is asked whom others have forgotten.
const LEARN_EVERY: Duration = Duration::from_secs(30);

/// The parts of an operator's door that look after the store, and their tasks.
#[derive(Debug)]
pub(super) struct Keeping {
    pub(super) keeper: Arc<Keeper>,
    pub(super) inspector: Arc<Inspector>,
    pub(super) forgetter: Arc<Forgetter>,
    tasks: Vec<JoinHandle<()>>,
}

impl Keeping {
    /// Starts what goes on by itself, and lets `/status` tell of it.
    ///
    /// `beside` drops what is kept of users elsewhere than in the store.
    pub(super) fn start(
        config: &Config,
        store: Kept,
        outside: Option<&Outside>,
        beside: Hook,
        status: &Status,
    ) -> Self {
        let center = outside.map(|outside| Arc::clone(&outside.center));
        let keeper = Keeper::new(config, store.clone());
        let forgetter = Arc::new(Forgetter::new(store.clone(), center.clone(), vec![beside]));
        let inspector = Arc::new(Inspector::new(store, config.kafka.clone()));
        let mut tasks = Vec::new();
        if center.is_some() {
            tasks.push(tokio::spawn(rounds(Arc::clone(&forgetter), config.node.has(Role::Sink))));
        }
        if config.backup.every_s > 0 {
            tasks.push(tokio::spawn(by_the_clock(Arc::clone(&keeper), Duration::from_secs(config.backup.every_s))));
        }
        status.add_section("jobs", metrics::jobs);
        let (told, configured) = (Arc::clone(&keeper), config.backup.is_set());
        status.add_section("backup", move || if configured { section(told.state()) } else { Value::Null });
        Self { keeper, inspector, forgetter, tasks }
    }

    /// Gives up what goes on; all of it may be done again.
    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn by_the_clock(keeper: Arc<Keeper>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        // That one is being made already is no failure; whatever else goes wrong the keeper tells.
        drop(keeper.begin());
    }
}

/// Learns from the center, and, on a node that writes there, sees to it that nothing of forgotten users stays.
async fn rounds(forgetter: Arc<Forgetter>, writes: bool) {
    let mut rounds = Rounds::default();
    loop {
        match round(&forgetter, writes, &mut rounds).await {
            Ok(()) => metrics::job_done("forget_center", now_ms()),
            // A center that is away is told by the breaker and the sink.
            Err(error) => tracing::debug!(%error, "the center was not asked about forgotten users"),
        }
        tokio::time::sleep(LEARN_EVERY).await;
    }
}

async fn round(forgetter: &Forgetter, writes: bool, rounds: &mut Rounds) -> crate::forget::Result<()> {
    let learned = forgetter.learn().await?;
    if learned > 0 {
        tracing::info!(users = learned, "the center names users to forget");
    }
    if writes { forgetter.settle(rounds, now_ms()).await } else { Ok(()) }
}

fn section(state: State) -> Value {
    let last = state.last.as_ref();
    json!({
        "running_since": state.running_since,
        "last": last.map(|last| &last.backup.id),
        "last_created_at": last.map(|last| &last.backup.created_at),
        "last_bytes": last.map(|last| last.backup.bytes),
        "last_sent_bytes": last.map(|last| last.sent_bytes),
        "last_took_ms": last.map(|last| last.took_ms),
        "failed": state.failed,
    })
}
