//! The way out: one owner per partition across all nodes writes the center, each row once.
//!
//! Per partition: gather rows (`gather`), seal a range of them, commit its bounds to the group (`group`), send it under
//! a token made of those bounds (`write`), commit its end. Whoever owns the partition next finds a range that was begun
//! in the commit and sends exactly it again; ClickHouse keeps one copy, views included. `share` is the state of one
//! partition, `begin` and `plan` decide where to go on, `run` is the thread that does it all.

mod bad;
mod begin;
mod board;
mod commit;
mod committer;
mod config;
mod gather;
mod group;
mod offline;
mod parts;
mod plan;
mod range;
mod retry;
mod run;
mod share;
mod status;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use edgefeed_storage::Store;
use edgefeed_storage::model::{Topic, TopicPartition};
use tokio::runtime::Handle;

use crate::Clock;
use crate::breaker::Breaker;
use crate::center::{Center, Complaint, Table};
use crate::dead_letters::DeadLetterTopic;
use crate::error::{Error, Result};
use crate::lag::Lag;
use crate::names::Names;
use board::Board;
use group::Seat;
use parts::{Behind, Parts};
use run::{Order, Run};
use write::Writer;

pub use commit::{Commit, Mark};
pub use config::Config;
pub(crate) use offline::Group;
pub use offline::{resume_offline, status_offline};
pub use plan::Plan;
pub use status::{From, PartitionStatus, Resume, ResumeError, Resumed, SinkStatus, Stalled};

/// How long a dropped sink waits for its thread.
const DROP_WAIT: Duration = Duration::from_secs(20);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// How soon a failed seat or a refused preflight is tried again.
const AGAIN: Duration = Duration::from_secs(3);
/// How long at most a seat that fails again and again is left alone: two nodes of one name put each other out.
const AGAIN_MOST: Duration = Duration::from_secs(300);
/// Answers of writes that wait to be looked at.
const DONE_MAX: usize = 1_024;
/// How long an order of an operator may take.
const ORDER_PATIENCE: Duration = Duration::from_secs(30);

/// What the sink needs of its node.
#[derive(Clone)]
pub struct Needs {
    /// The `[kafka]` section.
    pub kafka: crate::Config,
    /// The `[sink]` section.
    pub sink: Config,
    /// `node.cluster`.
    pub cluster: String,
    /// This node's name, as dead letters tell it.
    pub node: String,
    /// A name no other node bears: the group then keeps this node's partitions for it over a restart.
    pub instance: Option<String>,
    /// The store, which knows the repeats.
    pub store: Arc<Store>,
    /// How far the store is.
    pub lag: Arc<Lag>,
    /// The center.
    pub center: Arc<Center>,
    /// The breaker around it.
    pub breaker: Arc<Breaker>,
    /// The time.
    pub clock: Clock,
    /// Where writes run.
    pub runtime: Handle,
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Needs").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A running sink.
pub struct Sink {
    parts: Arc<Parts>,
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("group", &self.parts.sink.group).finish_non_exhaustive()
    }
}

impl Sink {
    /// Starts to take a share of the group's partitions, once the store has caught up and the center's tables are found
    /// to be in order. Neither Kafka nor ClickHouse need be there.
    ///
    /// # Errors
    /// [`Error::Config`] for settings the Kafka library refuses, [`Error::Thread`].
    pub fn start(needs: Needs) -> Result<Self> {
        let Needs { kafka, sink, cluster, node, instance, store, lag, center, breaker, clock, runtime } = needs;
        let followed: Vec<_> =
            kafka.topics.followed().into_iter().filter(|(topic, _)| Table::of(*topic).is_some()).collect();
        let letters = DeadLetterTopic::new(&kafka, &sink.dead_letter_prefix)?;
        let board = Arc::new(Board::default());
        let parts = Arc::new(Parts {
            decode: kafka.decode(store.ids()),
            names: Names::new(followed),
            board: Arc::clone(&board),
            stop: Arc::new(AtomicBool::new(false)),
            status: Mutex::default(),
            cluster: cluster.clone(),
            center: Arc::clone(&center),
            kafka,
            sink,
            store,
            lag,
            clock,
            runtime,
        });
        let (orders, given) = bounded(16);
        let group = parts.sink.group.clone();
        let bring = move |done| Writer { center, breaker, letters, board, cluster, group, node, done };
        let inside = Arc::clone(&parts);
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                let mut end = End { expected: false };
                live(&inside, instance.as_deref(), &given, bring);
                end.expected = true;
            })
            .map_err(|source| Error::Thread { what: "the sink", source })?;
        Ok(Self { parts, orders, thread: Mutex::new(Some(thread)) })
    }

    /// How this node's share stands, as of half a second ago.
    pub fn status(&self) -> SinkStatus {
        self.parts.status()
    }

    /// Follows an operator's order to go on. Blocks until it is done.
    ///
    /// # Errors
    /// [`ResumeError::Order`] when it cannot be followed as it stands, [`ResumeError::Failed`] when somebody does not
    /// answer.
    pub fn resume(&self, order: &Resume) -> Result<Vec<Resumed>, ResumeError> {
        let (answer, answered) = bounded(1);
        let failed = |why: &str| ResumeError::Failed(why.to_owned());
        self.orders.try_send((order.clone(), answer)).map_err(|_| failed("the sink takes no order now; try again"))?;
        answered.recv_timeout(ORDER_PATIENCE).map_err(|_| {
            failed("the sink did not answer: it has no seat in its group yet; see sink status and the log")
        })?
    }

    /// Stops: what is under way ends or is left to the next owner. Blocks a few seconds at most.
    ///
    /// # Errors
    /// [`Error::StopTimedOut`] after `deadline`; the thread then ends by itself.
    pub fn stop(&self, deadline: Duration) -> Result<()> {
        self.parts.stop.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() > deadline {
                return Err(Error::StopTimedOut { waited_ms: begun.elapsed().as_millis() });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        thread.join().map_err(|_| Error::Panicked { what: "sink" })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Err(error) = self.stop(DROP_WAIT) {
            tracing::warn!("stopping the sink: {error}");
        }
    }
}

/// Tells of a thread that ends in a panic: rows would go nowhere in silence.
struct End {
    expected: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.expected {
            tracing::error!("the sink ended in a panic, which is a bug; nothing is lost: restart the node");
        }
    }
}

/// The sink's life: waits for its store, checks the tables, sits in the group; begins again when the seat is lost.
fn live(
    parts: &Parts,
    instance: Option<&str>,
    orders: &Receiver<Order>,
    bring: impl FnOnce(Sender<write::Done>) -> Writer,
) {
    let (done, dones) = bounded(DONE_MAX);
    let writer = Arc::new(bring(done));
    let mut wait = AGAIN;
    while !parts.is_stopped() {
        if !store_is_live(parts) || !tables_are_ours(parts) {
            continue;
        }
        let begun = Instant::now();
        if let Err(error) = sit(parts, instance, &writer, &dones, orders) {
            // A seat that was kept for a while was a good one.
            wait = if begun.elapsed() > wait * 2 { AGAIN } else { (wait * 2).min(AGAIN_MOST) };
            tracing::error!(again_s = wait.as_secs(), "the sink left its group and takes a new seat: {error}");
            parts.board.forget();
            rest(parts, wait);
        }
    }
}

fn sit(
    parts: &Parts,
    instance: Option<&str>,
    writer: &Arc<Writer>,
    done: &Receiver<write::Done>,
    orders: &Receiver<Order>,
) -> Result<()> {
    let seat = Seat::take(&parts.kafka, &parts.sink, &parts.names, instance)?;
    Run::new(parts, seat, Arc::clone(writer), done.clone(), orders).work()
}

/// Only a store that follows Kafka knows which records are repeats.
fn store_is_live(parts: &Parts) -> bool {
    if parts.lag.failure().is_some() {
        rest(parts, AGAIN);
        return false;
    }
    parts.lag.wait_caught_up(LOOK)
}

/// Whether the center's tables would hold what the sink promises; said aloud, for each table, while they would not.
fn tables_are_ours(parts: &Parts) -> bool {
    let topics: Vec<Topic> = parts.names.all().iter().map(|(topic, _)| *topic).collect();
    let tables: Vec<Table> = topics.iter().filter_map(|topic| Table::of(*topic)).collect();
    let checked =
        parts.runtime.block_on(parts.center.preflight(&tables, parts.decode.ids, parts.sink.dedup_window_min));
    let complaints = match checked {
        Ok(complaints) => complaints,
        Err(error) => {
            tracing::warn!("the sink waits for the center: {error}");
            rest(parts, AGAIN);
            return false;
        }
    };
    let places: BTreeMap<_, _> =
        topics.into_iter().map(|topic| (TopicPartition { topic, partition: 0 }, None)).collect();
    for at in places.keys() {
        let own: Vec<String> = complaints
            .iter()
            .filter(|complaint| Table::of(at.topic) == Some(concerned(complaint)))
            .map(ToString::to_string)
            .collect();
        if own.is_empty() { parts.board.clear(*at) } else { parts.stall(*at, "preflight", &own.join("; ")) }
    }
    if complaints.is_empty() {
        return true;
    }
    parts.tell(&BTreeMap::new(), &places, &mut Behind::new());
    rest(parts, AGAIN);
    false
}

/// The table whose rows a complaint holds up: what is not a table of changes feeds on `events`.
fn concerned(complaint: &Complaint) -> Table {
    Table::ALL.into_iter().find(|table| table.name() == complaint.table).unwrap_or(Table::Events)
}

fn rest(parts: &Parts, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && !parts.is_stopped() {
        std::thread::sleep(LOOK);
    }
}
