//! The lookout: one thread that finds topics and partitions, decides where reading begins, and asks for log ends.
//!
//! Every wait on a broker happens here, with a timeout, so that reading never waits for an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed_storage::Store;
use edgefeed_storage::model::{Topic, TopicPartition};
use metrics::gauge;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use crate::Clock;
use crate::client::{Client, is_out_of_contact};
use crate::error::{Error, Result};
use crate::gap;
use crate::lag::Lag;
use crate::mailbox::Mailbox;
use crate::names::Names;
use crate::start::{self, Extent, Gap, GapReason};

/// How often a missing topic is looked for, at the least.
const MISSING_RETRY: Duration = Duration::from_secs(2);

/// The lookout and its surroundings.
pub(crate) struct Watcher {
    pub(crate) client: Arc<Client>,
    pub(crate) store: Arc<Store>,
    pub(crate) names: Names,
    pub(crate) clock: Clock,
    pub(crate) lag: Arc<Lag>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) poll: Duration,
    pub(crate) refresh: Duration,
    pub(crate) timeout: Duration,
}

/// What the lookout has settled so far.
#[derive(Default)]
struct Settled {
    followed: BTreeSet<TopicPartition>,
    gaps: BTreeSet<TopicPartition>,
    log_starts: BTreeMap<TopicPartition, i64>,
    next_discovery: Option<Instant>,
}

/// Why an attempt ended: the brokers are out of reach and asking on is no use, or something is wrong for good.
enum Failed {
    OutOfContact(String),
    ForGood(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::ForGood(error)
    }
}

impl Watcher {
    /// Watches until asked to stop.
    pub(crate) fn run(self) -> Result<()> {
        let mut settled = Settled::default();
        while !self.mailbox.is_stopped() {
            match self.look(&mut settled) {
                Ok(()) => {}
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::OutOfContact(detail)) => {
                    tracing::warn!("no contact with Kafka: {detail}");
                    self.lag.no_contact(detail);
                }
            }
            self.publish();
            self.mailbox.rest(self.poll);
        }
        Ok(())
    }

    fn look(&self, settled: &mut Settled) -> Result<(), Failed> {
        if settled.next_discovery.is_none_or(|due| Instant::now() >= due) {
            let complete = self.discover(settled)?;
            let wait = if complete { self.refresh } else { self.refresh.min(MISSING_RETRY) };
            settled.next_discovery = Some(Instant::now() + wait);
        }
        if let Some(offsets) = self.mailbox.take_recheck() {
            self.recheck(&offsets, settled)?;
        }
        for (topic, _) in self.names.all() {
            let followed: Vec<_> = settled.followed.iter().filter(|at| at.topic == *topic).copied().collect();
            self.hear_ends(&followed, settled)?;
        }
        Ok(())
    }

    /// Looks for topics and partitions; `false` while one of the topics is not there.
    fn discover(&self, settled: &mut Settled) -> Result<bool, Failed> {
        let mut complete = true;
        for (topic, name) in self.names.all() {
            if self.mailbox.is_stopped() {
                break;
            }
            let there = match self.client.fetch_metadata(Some(name), self.timeout) {
                Ok(metadata) => {
                    self.lag.contact((self.clock)());
                    found_partitions(&metadata, name)
                }
                Err(error) if is_out_of_contact(&error) => return Err(Failed::OutOfContact(error.to_string())),
                Err(error) => Err(error.to_string()),
            };
            match there {
                Ok(partitions) => complete &= self.settle_topic(*topic, partitions, settled)?,
                Err(detail) => {
                    tracing::warn!(topic = topic.name(), kafka_topic = name, "topic not found: {detail}");
                    self.lag.topic_missing(*topic, detail);
                    complete = false;
                }
            }
        }
        Ok(complete)
    }

    /// Decides where to begin in each partition of a topic not decided before, and hears the log starts of all;
    /// `false` while the logs cannot be asked for.
    fn settle_topic(&self, topic: Topic, partitions: u32, settled: &mut Settled) -> Result<bool, Failed> {
        let all: Vec<_> = (0..partitions).map(|partition| TopicPartition { topic, partition }).collect();
        let as_of = (self.clock)();
        let extents = self.extents(&all)?;
        if extents.len() < all.len() {
            return Ok(false);
        }
        let stored = self.store.positions().map_err(Error::from)?;
        for (at, log) in &extents {
            settled.log_starts.insert(*at, log.start);
            if settled.followed.contains(at) || settled.gaps.contains(at) {
                continue;
            }
            match start::start(stored.get(at), *log) {
                Ok(begin) => {
                    settled.followed.insert(*at);
                    self.lag.started(*at, begin.next);
                    self.mailbox.order(|orders| {
                        orders.start.insert(*at, begin);
                    });
                }
                Err(gap) => self.give_up(*at, gap, settled),
            }
        }
        for at in stored.keys().filter(|at| at.topic == topic && at.partition >= partitions) {
            if !settled.gaps.contains(at) {
                let stored_offset = stored[at].next_offset;
                let gap = Gap { reason: GapReason::PartitionMissing, stored_offset, log_start: -1, log_end: -1 };
                self.give_up(*at, gap, settled);
            }
        }
        let extents: Vec<_> = extents.into_iter().collect();
        self.lag.topic_there(topic);
        self.lag.heard(&extents, as_of);
        Ok(true)
    }

    fn give_up(&self, at: TopicPartition, gap: Gap, settled: &mut Settled) {
        settled.gaps.insert(at);
        if settled.followed.remove(&at) {
            self.mailbox.order(|orders| {
                orders.drop.insert(at);
            });
        }
        gap::report(&self.lag, at, gap);
    }

    /// The library lost its place in some partition and does not say which: those whose offset is no longer in the log
    /// are given up, all others are read on.
    fn recheck(&self, offsets: &BTreeMap<TopicPartition, i64>, settled: &mut Settled) -> Result<(), Failed> {
        let all: Vec<_> = offsets.keys().copied().collect();
        let extents = match self.extents(&all) {
            Ok(extents) if extents.len() == all.len() => extents,
            // Ask again with the next look.
            Ok(_) => {
                self.mailbox.ask_recheck(offsets.clone());
                return Ok(());
            }
            Err(failed) => {
                self.mailbox.ask_recheck(offsets.clone());
                return Err(failed);
            }
        };
        for (at, log) in extents {
            if let Err(gap) = start::check(offsets[&at], log) {
                self.give_up(at, gap, settled);
            }
        }
        self.mailbox.order(|orders| orders.restart = true);
        Ok(())
    }

    /// Asks where the logs of some partitions end and tells the lag.
    fn hear_ends(&self, partitions: &[TopicPartition], settled: &Settled) -> Result<(), Failed> {
        let as_of = (self.clock)();
        let ends = self.offsets(partitions, Offset::End)?;
        let heard = ends.into_iter().map(|(at, end)| {
            let start = settled.log_starts.get(&at).copied().unwrap_or(0);
            (at, Extent { start, end })
        });
        self.lag.heard(&heard.collect::<Vec<_>>(), as_of);
        Ok(())
    }

    fn extents(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Extent>, Failed> {
        let starts = self.offsets(partitions, Offset::Beginning)?;
        let ends: BTreeMap<_, _> = self.offsets(partitions, Offset::End)?.into_iter().collect();
        let both = starts.into_iter().filter_map(|(at, start)| Some((at, Extent { start, end: *ends.get(&at)? })));
        Ok(both.collect())
    }

    /// Asks the brokers for the first or the last offsets of some partitions, in one request a broker.
    ///
    /// The library passes the logical offset on as the "timestamp" that the protocol gives these two, and asks for
    /// what committed readers may see.
    fn offsets(&self, partitions: &[TopicPartition], which: Offset) -> Result<Vec<(TopicPartition, i64)>, Failed> {
        if partitions.is_empty() || self.mailbox.is_stopped() {
            return Ok(Vec::new());
        }
        let list = self.names.list(partitions.iter().map(|at| (*at, which)))?;
        match self.client.offsets_for_times(list, self.timeout) {
            Ok(answer) => {
                self.lag.contact((self.clock)());
                Ok(self.names.offsets(&answer))
            }
            Err(error) if is_out_of_contact(&error) => Err(Failed::OutOfContact(error.to_string())),
            Err(error) => {
                tracing::warn!("asking for offsets: {error}");
                Ok(Vec::new())
            }
        }
    }

    fn publish(&self) {
        let mut topics: BTreeMap<Topic, i64> = BTreeMap::new();
        for (at, age_ms, records) in self.lag.gauges((self.clock)()) {
            let partition = at.partition.to_string();
            if let Some(records) = records {
                gauge!("edgefeed_ingest_lag_records", "topic" => at.topic.name(), "partition" => partition)
                    .set(as_f64(records));
            }
            if let Some(age_ms) = age_ms {
                let worst = topics.entry(at.topic).or_default();
                *worst = (*worst).max(age_ms);
            }
        }
        for (topic, age_ms) in topics {
            gauge!("edgefeed_ingest_lag_seconds", "topic" => topic.name()).set(as_f64(age_ms) / 1_000.0);
        }
    }
}

/// How many partitions the answer shows, or why it shows none.
fn found_partitions(metadata: &rdkafka::metadata::Metadata, name: &str) -> Result<u32, String> {
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Err("not in the answer".to_owned());
    };
    if let Some(error) = topic.error() {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(error)).to_string());
    }
    match u32::try_from(topic.partitions().len()) {
        Ok(0) | Err(_) => Err("it has no partitions".to_owned()),
        Ok(partitions) => Ok(partitions),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn as_f64(value: i64) -> f64 {
    value as f64
}
