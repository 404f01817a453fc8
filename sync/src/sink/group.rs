//! This node's seat in the shared consumer group: which partitions are its own, and the group's commits.
//!
//! Every call that waits for a broker has a deadline. The eager protocol and one thread make the fence simple: a commit
//! is waited for (`committer`), so none is on its way when partitions change hands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edgefeed_storage::model::TopicPartition;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::committer::{Committed, Committer, Entry};
use crate::client;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::statistics::{self, PartitionEnd};

/// How often the library reports where partitions end, in milliseconds.
const STATISTICS_MS: &str = "1000";
/// The largest answer to one fetch, in bytes.
const FETCH_MAX_BYTES: &str = "8388608";
/// How long one request to a broker may take, in milliseconds: bounds how long a commit keeps the thread.
const SOCKET_TIMEOUT_MS: &str = "10000";

/// What happened to this node's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These partitions are this node's from now on.
    Assigned(Vec<TopicPartition>),
    /// None is this node's any more.
    Revoked,
}

/// What the Kafka library tells besides records.
#[derive(Debug)]
pub(crate) struct Context {
    names: Names,
    changes: Mutex<Vec<Change>>,
    ends: Mutex<Vec<PartitionEnd>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }

    fn stats_raw(&self, json: &[u8]) {
        *locked(&self.ends) = statistics::ends(json);
    }
}

impl ConsumerContext for Context {
    /// Takes note only. Nothing is fetched before it is known where to begin, so the assignment is answered with an
    /// empty one; [`Seat::read_from`] assigns what is really read.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let (change, answered) = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                (Change::Assigned(self.names.partitions(list)), consumer.assign(&TopicPartitionList::new()))
            }
            _ => (Change::Revoked, consumer.unassign()),
        };
        if let Err(error) = answered {
            tracing::warn!("answering a rebalance of the sink's group: {error}");
        }
        locked(&self.changes).push(change);
    }
}

/// A consumer in the group.
pub(crate) struct Seat {
    // Let go before the committer, whose end then is the end of the consumer.
    pub(crate) consumer: Arc<BaseConsumer<Context>>,
    committer: Committer,
    names: Names,
}

impl Seat {
    /// Joins the group. Speaks to no broker yet. With an `instance` the broker keeps this member's partitions for it
    /// over a restart.
    pub(crate) fn take(kafka: &Config, sink: &super::Config, names: &Names, instance: Option<&str>) -> Result<Self> {
        let context = Context { names: names.clone(), changes: Mutex::default(), ends: Mutex::default() };
        let mut settings = settings(kafka, sink);
        if let Some(instance) = instance {
            settings.set("group.instance.id", instance);
        }
        let consumer: BaseConsumer<Context> =
            settings.create_with_context(context).map_err(Error::kafka("creating the sink's consumer"))?;
        let topics: Vec<&str> = names.all().iter().map(|(_, name)| name.as_str()).collect();
        consumer.subscribe(&topics).map_err(Error::kafka("joining the sink's group"))?;
        let consumer = Arc::new(consumer);
        let committer = Committer::start(Arc::clone(&consumer), names.clone())?;
        Ok(Self { consumer, committer, names: names.clone() })
    }

    /// What happened to this node's share since the last call.
    pub(crate) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut locked(&self.consumer.context().changes))
    }

    /// Partitions read to their ends, since the last call.
    pub(crate) fn ends(&self) -> Vec<(TopicPartition, i64)> {
        let ends = std::mem::take(&mut *locked(&self.consumer.context().ends));
        let known = ends.into_iter().filter_map(|end| {
            let topic = self.names.topic(&end.topic)?;
            Some((TopicPartition { topic, partition: end.partition }, end.offset))
        });
        known.collect()
    }

    /// What the group has committed for these partitions: offset and metadata, as they stand.
    pub(crate) fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<BTreeMap<TopicPartition, (i64, String)>, KafkaError> {
        let list = self.names.list(partitions.iter().map(|at| (*at, Offset::Invalid)));
        let Ok(list) = list else { return Ok(BTreeMap::new()) };
        let answer = self.consumer.committed_offsets(list, timeout)?;
        let mut found = BTreeMap::new();
        for element in answer.elements() {
            element.error()?;
            let at = self.names.partition(element.topic(), element.partition());
            if let (Some(at), Offset::Offset(offset)) = (at, element.offset()) {
                found.insert(at, (offset, element.metadata().to_owned()));
            }
        }
        Ok(found)
    }

    /// Reads exactly these partitions, each from its offset, from now on.
    pub(crate) fn read_from(&self, partitions: impl Iterator<Item = (TopicPartition, i64)>) -> Result<()> {
        let list = self.names.list(partitions.map(|(at, next)| (at, Offset::Offset(next))))?;
        self.consumer.assign(&list).map_err(Error::kafka("assigning the sink's partitions"))
    }

    /// Stops or resumes fetching of partitions that are being read.
    pub(crate) fn hold(&self, partitions: &[TopicPartition], hold: bool) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let list = self.names.list(partitions.iter().map(|at| (*at, Offset::Invalid)))?;
        let done = if hold { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        done.map_err(Error::kafka("pausing the sink's partitions"))
    }

    /// Commits offsets with their marks and waits for the answer; once `stopped`, not for long.
    pub(crate) fn commit(&self, commits: &[Entry], stopped: impl Fn() -> bool) -> BTreeMap<TopicPartition, Committed> {
        self.committer.commit(commits, stopped)
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

/// What every consumer of the group is told.
fn settings(kafka: &Config, sink: &super::Config) -> rdkafka::ClientConfig {
    let mut settings = client::base(&kafka.brokers, &kafka.client_id, &kafka.security);
    settings
        .set("group.id", &sink.group)
        .set("session.timeout.ms", sink.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", (sink.session_timeout_ms / 4).max(100).to_string())
        .set("partition.assignment.strategy", "range")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Any other value would jump over a gap in silence.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", kafka.metadata_refresh_ms.to_string())
        .set("socket.timeout.ms", SOCKET_TIMEOUT_MS)
        .set("queued.max.messages.kbytes", kafka.prefetch_kib.to_string())
        .set("queued.min.messages", "20000")
        .set("fetch.max.bytes", FETCH_MAX_BYTES)
        .set("fetch.message.max.bytes", "1048576")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "200")
        .set("fetch.queue.backoff.ms", "10")
        .set("statistics.interval.ms", STATISTICS_MS);
    settings
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
