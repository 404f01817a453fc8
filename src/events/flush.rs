//! What is spooled goes to Kafka, in the order it came, when Kafka is back.
//!
//! An attempt that failed may have put its record into Kafka all the same, and so may a run of the node that was killed
//! before it heard so. Nodes remember an event's id for an hour of record time, an outage may last longer; so before
//! anything is sent, this node reads on past whatever stood in Kafka when the last attempt had ended. What it met there
//! is gone from the spool, and only what never came to Kafka is sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edgefeed_storage::model::{TimestampMs, Topic};
use edgefeed_storage::{SpoolItem, Store, StoreError};
use edgefeed_sync::breaker::{Breaker, Permit};
use edgefeed_sync::{EventsProducer, Fate, Lag};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::intake::settled;
use super::{Config, measure, record};
use crate::clock::now_ms;

/// How often the spool is looked at, and its numbers are told.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether reading has come far enough, and whether Kafka may be asked.
const STEP: Duration = Duration::from_millis(50);
/// After so long without getting past it, the moment to get past is taken anew: by then more may have been spooled.
const BARRIER: Duration = Duration::from_secs(5);
/// After an attempt that failed.
const REST: Duration = Duration::from_millis(500);
/// Events sent together.
const CHUNK: usize = 500;
/// How long the fates of a chunk are waited for; the library tells them sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the flusher does, in a word for `/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doing {
    /// Nothing waits to be sent.
    #[default]
    Idle,
    /// It waits until this node has read what stands in Kafka.
    Reading,
    /// It waits until Kafka may be asked.
    Waiting,
    /// It sends.
    Sending,
}

impl Doing {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Reading => "reading_log",
            Self::Waiting => "kafka_away",
            Self::Sending => "sending",
        }
    }
}

/// The running flusher.
#[derive(Debug)]
pub(super) struct Flusher {
    store: Arc<Store>,
    doing: Arc<Mutex<Doing>>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Why a round ended before everything was sent.
enum Ended {
    /// The node stops.
    Stopping,
    /// Kafka did not take something.
    Refused,
    /// The store failed.
    Store(StoreError),
}

impl Flusher {
    pub(super) fn start(
        store: &Arc<Store>,
        lag: &Arc<Lag>,
        producer: &Arc<EventsProducer>,
        breaker: &Arc<Breaker>,
        arrived: Arc<Notify>,
    ) -> Self {
        let doing = Arc::default();
        let stop = watch::Sender::new(false);
        let rounds = Rounds {
            store: Arc::clone(store),
            lag: Arc::clone(lag),
            producer: Arc::clone(producer),
            breaker: Arc::clone(breaker),
            doing: Arc::clone(&doing),
            stop: stop.subscribe(),
        };
        let task = tokio::spawn(rounds.run(arrived));
        Self { store: Arc::clone(store), doing, stop, task: Mutex::new(Some(task)) }
    }

    /// What it tells about itself and the spool.
    pub(super) fn snapshot(&self, config: &Config, now_ms: TimestampMs) -> Value {
        let state = self.store.spool_state();
        let doing = *self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "state": doing.name(),
            "depth": state.events,
            "acknowledged": state.sent,
            "bytes": state.bytes,
            "oldest_seconds": measure::oldest_ms(&state, now_ms) / 1_000,
            "max_events": config.max_events,
            "max_bytes": config.max_bytes,
            "max_age_seconds": config.max_age_s,
        })
    }

    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            drop(task.await);
        }
    }
}

/// What the rounds of the flusher stand on.
struct Rounds {
    store: Arc<Store>,
    lag: Arc<Lag>,
    producer: Arc<EventsProducer>,
    breaker: Arc<Breaker>,
    doing: Arc<Mutex<Doing>>,
    stop: watch::Receiver<bool>,
}

impl Rounds {
    async fn run(mut self, arrived: Arc<Notify>) {
        loop {
            match self.round().await {
                Ok(()) => self.set(Doing::Idle),
                Err(Ended::Stopping) => return,
                Err(Ended::Refused) => self.set(Doing::Waiting),
                Err(Ended::Store(error)) => tracing::error!(%error, "spooled events cannot be read"),
            }
            let mut stop = self.stop.clone();
            tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return,
                () = sleep(LOOK) => {}
                () = arrived.notified() => sleep(STEP).await,
            }
        }
    }

    /// Sends everything that is in the spool now.
    async fn round(&mut self) -> Result<(), Ended> {
        let until = match self.waiting().await? {
            Some(until) => until,
            None => return Ok(()),
        };
        let until = self.read_on(until).await?;
        let mut from = 0;
        loop {
            let store = Arc::clone(&self.store);
            let items = blocking(move || store.spool_unsent(from, until, CHUNK)).await?;
            let Some(last) = items.last().map(|item| item.sequence) else { return Ok(()) };
            self.send(items).await?;
            from = last.saturating_add(1);
        }
    }

    /// One past the last event in the spool; `None` while Kafka has acknowledged all of them.
    async fn waiting(&self) -> Result<Option<u64>, Ended> {
        let store = Arc::clone(&self.store);
        let state = blocking(move || Ok(store.spool_state())).await?;
        measure::spool(&state, now_ms());
        Ok((state.events > state.sent).then_some(state.next))
    }

    /// Waits until this node has read past everything that stood in Kafka when the events below `until` had been
    /// spooled; gives back up to where that holds.
    async fn read_on(&mut self, mut until: u64) -> Result<u64, Ended> {
        self.set(Doing::Reading);
        loop {
            let mut barrier = self.lag.barrier(Topic::Events);
            let begun = Instant::now();
            let mut told = begun;
            while begun.elapsed() < BARRIER {
                if self.lag.is_past(&mut barrier) {
                    return Ok(until);
                }
                self.rest(STEP).await?;
                if told.elapsed() >= LOOK {
                    told = Instant::now();
                    self.waiting().await?;
                }
            }
            // More may have been spooled, and its attempts have ended before the next barrier.
            until = self.waiting().await?.unwrap_or(until);
        }
    }

    /// Sends some events and waits until Kafka has acknowledged them.
    async fn send(&mut self, items: Vec<SpoolItem>) -> Result<(), Ended> {
        let permit = self.leave().await?;
        self.set(Doing::Sending);
        let (producer, ids) = (Arc::clone(&self.producer), self.store.ids());
        let going: Vec<(u64, Fate)> = blocking(move || {
            let send = |item: &SpoolItem| (item.sequence, producer.send(&record::key(ids, item.user), &item.value));
            Ok(items.iter().map(send).collect())
        })
        .await?;
        let deadline = Instant::now() + PATIENCE;
        let mut refused = false;
        let mut delivered = Vec::new();
        for (sequence, fate) in going {
            match settled(fate, deadline).await {
                Some(at) => delivered.push((sequence, at)),
                None => refused = true,
            }
        }
        measure::sent(u64::try_from(delivered.len()).unwrap_or(u64::MAX));
        let store = Arc::clone(&self.store);
        blocking(move || {
            delivered
                .into_iter()
                .try_for_each(|(sequence, at)| store.spool_sent(sequence, at.partition, at.offset, now_ms()))
        })
        .await?;
        if refused {
            permit.failure();
            self.rest(REST).await?;
            return Err(Ended::Refused);
        }
        permit.success();
        Ok(())
    }

    /// Waits until Kafka may be asked.
    async fn leave(&mut self) -> Result<Permit, Ended> {
        loop {
            if let Some(permit) = self.breaker.acquire() {
                return Ok(permit);
            }
            self.set(Doing::Waiting);
            self.rest(STEP).await?;
        }
    }

    async fn rest(&mut self, time: Duration) -> Result<(), Ended> {
        // The sender lives as long as the flusher; when it is gone, the node is stopping as well.
        match timeout(time, self.stop.wait_for(|stop| *stop)).await {
            Ok(_) => Err(Ended::Stopping),
            Err(_) => Ok(()),
        }
    }

    fn set(&self, doing: Doing) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }
}

/// Asks the store on a thread that may wait.
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, Ended> {
    match spawn_blocking(ask).await {
        Ok(answer) => answer.map_err(Ended::Store),
        Err(error) => {
            tracing::error!(%error, "sending what is spooled panicked");
            Err(Ended::Stopping)
        }
    }
}
