//! Records into Kafka: queued, idempotent, acknowledged by all replicas, placed as Java's clients place them.

mod events;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::client;
use crate::config::Security;
use crate::error::{Error, Result};

pub use events::{EventsProducer, Fate};

/// How many records may be queued.
const QUEUE_RECORDS: &str = "50000";
/// How many KiB may be queued.
const QUEUE_KIB: &str = "65536";
/// How long a full queue is waited for.
const QUEUE_WAIT: Duration = Duration::from_secs(10);

/// Where a record came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
}

/// A record to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    /// Without one the key decides, and without a key chance.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Without one the library's clock decides.
    pub(crate) time_ms: Option<i64>,
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
}

/// Called once with the fate of a record, on the producer's own thread: be quick.
type Tell = Box<dyn FnOnce(Result<Delivered>) + Send + Sync>;

/// Sends records to Kafka. Queues are bounded; a full one makes senders wait.
pub struct Producer {
    inner: ThreadedProducer<Deliveries>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.inner.in_flight_count()).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer without encryption or user, as the demo and tests need it. Speaks to no broker yet.
    pub fn connect(brokers: &str) -> Result<Self> {
        Self::connect_with(brokers, "edgefeed-producer", &Security::default())
    }

    /// A producer for a cluster as configured. Speaks to no broker yet.
    pub fn connect_with(brokers: &str, client_id: &str, security: &Security) -> Result<Self> {
        Self::create(patient(brokers, client_id, security))
    }

    /// As [`Producer::connect_with`], for records of up to this many bytes.
    pub(crate) fn connect_large(brokers: &str, client_id: &str, security: &Security, bytes: usize) -> Result<Self> {
        let mut config = patient(brokers, client_id, security);
        config.set("message.max.bytes", bytes.to_string());
        Self::create(config)
    }

    fn create(mut config: ClientConfig) -> Result<Self> {
        let inner = config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Java's default, so that one user's events share a partition whoever sent them.
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.messages", QUEUE_RECORDS)
            .set("queue.buffering.max.kbytes", QUEUE_KIB)
            .create_with_context(Deliveries::default())
            .map_err(Error::kafka("creating the producer"))?;
        Ok(Self { inner })
    }

    /// Queues a record. Without a partition the key decides, without a time the library's clock.
    ///
    /// Waits while the queue is full. Errors: [`Error::QueueFull`] when it stays so, [`Error::NotDelivered`] when
    /// earlier records were given up (told once; this record is then not queued).
    pub fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: &[u8],
        value: Option<&[u8]>,
        time_ms: Option<i64>,
    ) -> Result<()> {
        self.inner.context().take_failure()?;
        self.queue(&Outgoing { topic, partition, key: Some(key), value, time_ms, headers: &[] }, None, QUEUE_WAIT)
    }

    /// Queues a record as [`Producer::send`] does and tells its fate through `tell`, then also in failure; such
    /// failures are not told again by [`Producer::send`] or [`Producer::flush`].
    pub fn send_then(
        &self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        tell: impl FnOnce(Result<Delivered>) + Send + Sync + 'static,
    ) -> Result<()> {
        self.send_record(&Outgoing { topic, key: Some(key), value, ..Outgoing::default() }, tell)
    }

    /// As [`Producer::send_then`], with everything a record may have.
    pub(crate) fn send_record(
        &self,
        record: &Outgoing<'_>,
        tell: impl FnOnce(Result<Delivered>) + Send + Sync + 'static,
    ) -> Result<()> {
        self.queue(record, Some(Box::new(tell)), QUEUE_WAIT)
    }

    /// Whether it can send nothing any more, whatever becomes of the brokers: then another one is needed.
    fn is_fatal(&self) -> bool {
        self.inner.client().fatal_error().is_some()
    }

    fn queue(&self, outgoing: &Outgoing<'_>, tell: Option<Tell>, wait: Duration) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(outgoing.topic, Box::new(tell));
        record.partition = outgoing.partition;
        record.key = outgoing.key;
        record.payload = outgoing.value;
        record.timestamp = outgoing.time_ms;
        record.headers = headers(outgoing.headers);
        let deadline = Instant::now() + wait;
        let outstanding = self.inner.context().begin();
        loop {
            match self.inner.send(record) {
                Ok(()) => {
                    outstanding.keep();
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    if Instant::now() >= deadline {
                        return Err(Error::QueueFull);
                    }
                    // Deliveries free places; serving them here is waiting for the next.
                    self.inner.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => return Err(Error::kafka("queueing a record")(error)),
            }
        }
    }

    /// Waits until everything queued is delivered, at most `timeout`.
    ///
    /// Errors: [`Error::FlushTimedOut`]; [`Error::NotDelivered`] when records were given up since the last call.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        // The library's own flush looks only every 100 ms when another thread serves the deliveries.
        if self.inner.context().wait_for_none(timeout) {
            self.inner.context().take_failure()
        } else {
            Err(Error::FlushTimedOut)
        }
    }
}

/// The settings of a producer that would rather wait than give a record up.
fn patient(brokers: &str, client_id: &str, security: &Security) -> ClientConfig {
    let mut config = client::base(brokers, client_id, security);
    config.set("linger.ms", "5").set("message.timeout.ms", "30000");
    config
}

fn headers(headers: &[(&str, &[u8])]) -> Option<OwnedHeaders> {
    let mut owned = (!headers.is_empty()).then(OwnedHeaders::new);
    for (key, value) in headers {
        owned = owned.map(|owned| owned.insert(Header { key, value: Some(*value) }));
    }
    owned
}

/// Why a record was given up, as far as somebody asks for it by itself.
fn given_up(error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidRecord,
        ) => Error::Refused { detail: error.to_string() },
        _ => Error::NotDelivered { lost: 1, detail: error.to_string() },
    }
}

/// What became of records.
#[derive(Debug, Default)]
struct Deliveries {
    state: Mutex<Fates>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Fates {
    /// Records queued and neither delivered nor given up.
    outstanding: u64,
    /// Records given up, and why the first was, until somebody asks.
    failed: Option<(u64, String)>,
}

/// A record counted as outstanding before it is queued, so that its delivery can never come first.
struct Outstanding<'a> {
    deliveries: &'a Deliveries,
    kept: bool,
}

impl Outstanding<'_> {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.deliveries.settle(None);
        }
    }
}

impl Deliveries {
    fn begin(&self) -> Outstanding<'_> {
        self.fates().outstanding += 1;
        Outstanding { deliveries: self, kept: false }
    }

    fn settle(&self, failure: Option<String>) {
        let mut fates = self.fates();
        fates.outstanding = fates.outstanding.saturating_sub(1);
        if let Some(detail) = failure {
            fates.failed.get_or_insert((0, detail)).0 += 1;
        }
        if fates.outstanding == 0 {
            self.settled.notify_all();
        }
    }

    fn wait_for_none(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut fates = self.fates();
        while fates.outstanding > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            fates = self.settled.wait_timeout(fates, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn take_failure(&self) -> Result<()> {
        match self.fates().failed.take() {
            None => Ok(()),
            Some((lost, detail)) => Err(Error::NotDelivered { lost, detail }),
        }
    }

    fn fates(&self) -> MutexGuard<'_, Fates> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Option<Tell>>;

    fn delivery(&self, result: &DeliveryResult<'_>, tell: Self::DeliveryOpaque) {
        let fate = match result {
            Ok(message) => Ok(Delivered {
                partition: u32::try_from(message.partition()).unwrap_or_default(),
                offset: message.offset(),
            }),
            Err((error, _)) => Err(error),
        };
        match *tell {
            Some(tell) => {
                tell(fate.map_err(given_up));
                self.settle(None);
            }
            None => self.settle(fate.err().map(ToString::to_string)),
        }
    }
}
