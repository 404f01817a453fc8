//! `POST /api/v1/events`: an event is answered 202 when Kafka has acknowledged it, or when the spool has it on disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgefeed_storage::model::{IdKind, TimestampMs};
use edgefeed_storage::{Spooled, Store};
use edgefeed_sync::breaker::Breaker;
use edgefeed_sync::decode::MAX_BEHIND_MS;
use edgefeed_sync::{Delivered, EventsProducer, Fate, Lag};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::check::{Checked, Fault, Good, Rejected, check};
use super::flush::Flusher;
use super::position::{Position, Positions};
use super::spooler::Spooler;
use super::{Config, measure, record};
use crate::auth::Caller;
use crate::failure::Failure;

/// How long the Kafka library may take to tell what it gave up, beyond its own time limit.
const TELLING: Duration = Duration::from_millis(1_500);

/// The code of an event for which there is no room.
const SPOOL_FULL: &str = "spool_full";

/// The answer to a request of which something was accepted.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EventsAnswer)]
pub struct Answer {
    /// How many events were.
    pub accepted: usize,
    /// Those that were not.
    pub rejected: Vec<Rejected>,
    /// What `min_position` takes: a page that has reached it shows their effects.
    pub position: String,
    /// Whether some of them wait on this node for Kafka to come back.
    pub spooled: bool,
}

/// Why nothing of a request was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The body is not what the path takes.
    #[error("{0}")]
    Body(String),
    /// Each event is at fault; the message names the first ones.
    #[error("{0}")]
    AllBad(String),
    /// An event of somebody else, and the caller may not speak for others.
    #[error("an event of another user needs the scope events:any")]
    NotYours,
    /// Kafka is away and there is no room to wait for it.
    #[error("there is no room for more events at the moment")]
    Full,
    /// A fault of ours; what happened is in the log.
    #[error("the events could not be taken")]
    Internal,
}

/// Takes events.
#[derive(Debug)]
pub struct Intake {
    store: Arc<Store>,
    producer: Arc<EventsProducer>,
    breaker: Arc<Breaker>,
    spooler: Spooler,
    flusher: Flusher,
    positions: Arc<Positions>,
    config: Config,
}

impl Intake {
    /// Opens it, and starts to send what an earlier run of the node has spooled.
    ///
    /// # Errors
    /// Settings that the Kafka library refuses, and an operating system without a thread left.
    pub fn open(
        config: &Config,
        kafka: &edgefeed_sync::Config,
        store: &Arc<Store>,
        lag: &Arc<Lag>,
        breaker: &Arc<Breaker>,
        positions: &Arc<Positions>,
    ) -> Result<Arc<Self>, Failure> {
        let producer = EventsProducer::new(kafka, config.ack_timeout());
        let producer = Arc::new(producer.map_err(|error| Failure::failed(error.to_string()))?);
        let arrived = Arc::new(Notify::new());
        Ok(Arc::new(Self {
            spooler: Spooler::start(Arc::clone(store), config.bounds(), Arc::clone(&arrived))?,
            flusher: Flusher::start(store, lag, &producer, breaker, arrived),
            store: Arc::clone(store),
            producer,
            breaker: Arc::clone(breaker),
            positions: Arc::clone(positions),
            config: config.clone(),
        }))
    }

    /// Takes the events of one request at `now_ms`.
    ///
    /// # Errors
    /// Nothing was accepted, and why. Events that were on their way to Kafka may get there all the same: posted again
    /// under their `event_id`s they count once.
    pub async fn post(self: Arc<Self>, caller: Caller, body: Bytes, now_ms: TimestampMs) -> Result<Answer, PostError> {
        let permit = self.breaker.acquire();
        let (intake, may_send) = (Arc::clone(&self), permit.is_some());
        // Asks the store, which may wait for the disk.
        let sent = tokio::task::spawn_blocking(move || intake.send(&body, caller, now_ms, may_send)).await;
        let Sent { mut checked, going } = match sent {
            Ok(sent) => sent?,
            Err(error) => {
                tracing::error!(%error, "taking events panicked");
                return Err(PostError::Internal);
            }
        };
        let asked = !going.is_empty();
        let deadline = Instant::now() + self.config.ack_timeout() + TELLING;
        let mut taken = Taken::default();
        let mut left = Vec::new();
        let mut fates = going.into_iter();
        for good in std::mem::take(&mut checked.good) {
            match fates.next() {
                Some(fate) => match settled(fate, deadline).await {
                    Some(at) => taken.delivered(&good, at),
                    None => left.push(good),
                },
                None => left.push(good),
            }
        }
        match permit.filter(|_| asked) {
            Some(permit) if left.is_empty() => permit.success(),
            Some(permit) => permit.failure(),
            None => {}
        }
        if !left.is_empty() {
            self.spool(left, &mut checked, &mut taken, now_ms).await?;
        }
        self.answer(checked, taken)
    }

    /// Reads a request, and queues what can go for Kafka where that may be asked.
    fn send(&self, body: &[u8], caller: Caller, now_ms: TimestampMs, may_send: bool) -> Result<Sent, PostError> {
        let ids = self.ids();
        let checked = check(body, caller, ids, &self.store, now_ms).map_err(|fault| match fault {
            Fault::Body(message) => PostError::Body(message),
            Fault::NotYours => PostError::NotYours,
            Fault::Store(error) => {
                tracing::error!(%error, "the store does not tell who wrote what events are about");
                PostError::Internal
            }
        })?;
        let send = |good: &Good| self.producer.send(&record::key(ids, good.event.user), &good.value);
        let going = if may_send { checked.good.iter().map(send).collect() } else { Vec::new() };
        Ok(Sent { checked, going })
    }

    /// Spools what Kafka has not acknowledged. It may have come there all the same: the same event under the same id,
    /// which is why it is harmless.
    async fn spool(
        &self,
        left: Vec<Good>,
        checked: &mut Checked,
        taken: &mut Taken,
        now_ms: TimestampMs,
    ) -> Result<(), PostError> {
        let oldest = now_ms.saturating_sub(MAX_BEHIND_MS).saturating_add(self.config.max_age_ms());
        let (stays, too_old): (Vec<_>, Vec<_>) = left.into_iter().partition(|good| good.event.event_time >= oldest);
        for good in too_old {
            full(checked, &good.places, "Kafka is away, and an event this old cannot wait for it; send it again later");
        }
        let (places, events): (Vec<_>, Vec<_>) =
            stays.into_iter().map(|good| (good.places, (good.event, good.value))).unzip();
        let fates = self.spooler.spool(events).await.ok_or(PostError::Internal)?;
        for (places, fate) in places.into_iter().zip(fates) {
            match fate {
                Spooled::Kept(_) => taken.spooled += places.len(),
                Spooled::Known => taken.known += places.len(),
                Spooled::Full => full(checked, &places, "Kafka is away and the spool is full; send it again later"),
            }
        }
        checked.rejected.sort_by_key(|rejected| rejected.index);
        Ok(())
    }

    fn answer(&self, checked: Checked, taken: Taken) -> Result<Answer, PostError> {
        let Checked { rejected, .. } = checked;
        measure::rejected(&rejected);
        for (place, count) in [("kafka", taken.delivered), ("spool", taken.spooled), ("known", taken.known)] {
            measure::accepted(place, u64::try_from(count).unwrap_or(u64::MAX));
        }
        let accepted = taken.delivered + taken.spooled + taken.known;
        if accepted == 0 {
            let full = rejected.iter().any(|rejected| rejected.code == SPOOL_FULL);
            return Err(if full { PostError::Full } else { PostError::AllBad(told(&rejected)) });
        }
        let spooled = taken.spooled > 0;
        let spooled_by = (spooled || taken.known > 0).then(|| self.positions.store());
        let position = Position { spooled_by, ..taken.position };
        Ok(Answer { accepted, rejected, position: self.positions.seal(&position), spooled })
    }

    fn ids(&self) -> IdKind {
        self.store.ids()
    }

    /// What it tells about itself.
    pub fn snapshot(&self, now_ms: TimestampMs) -> Value {
        self.flusher.snapshot(&self.config, now_ms)
    }

    /// Ends what runs for it; what is spooled stays so. To be called when no request is under way.
    pub async fn close(self: &Arc<Self>) {
        self.flusher.stop().await;
        let intake = Arc::clone(self);
        drop(tokio::task::spawn_blocking(move || intake.spooler.stop()).await);
    }
}

/// A request that was read, and the fates of what goes to Kafka: one for each good event, or none at all.
struct Sent {
    checked: Checked,
    going: Vec<Fate>,
}

/// What was accepted, by where it is.
#[derive(Default)]
struct Taken {
    delivered: usize,
    spooled: usize,
    known: usize,
    position: Position,
}

impl Taken {
    fn delivered(&mut self, good: &Good, at: Delivered) {
        self.delivered += good.places.len();
        self.position.add(at.partition, at.offset);
    }
}

fn full(checked: &mut Checked, places: &[usize], message: &str) {
    for index in places {
        checked.reject(*index, SPOOL_FULL, message.to_owned());
    }
}

/// Where Kafka has put a record; nothing when it has not, or does not say.
pub(super) async fn settled(fate: Fate, deadline: Instant) -> Option<Delivered> {
    match timeout_at(deadline, fate).await {
        Ok(Ok(Ok(delivered))) => Some(delivered),
        Ok(Ok(Err(error))) => {
            tracing::debug!(%error, "an event was not delivered");
            None
        }
        Ok(Err(_)) | Err(_) => None,
    }
}

/// The first faults in one line.
fn told(rejected: &[Rejected]) -> String {
    const SHOWN: usize = 3;
    let faults = rejected.iter().take(SHOWN).map(|one| format!("events[{}] {}: {}", one.index, one.code, one.message));
    let more = rejected.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("and {more} more"));
    let all: Vec<_> = faults.chain(more).collect();
    format!("no event can be taken: {}", all.join("; "))
}
