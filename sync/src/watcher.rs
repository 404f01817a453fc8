//! The lookout: one thread that finds topics and partitions, decides where reading begins, and asks for log ends.
//!
//! Every wait on a broker happens here, with a timeout, so that reading never waits for an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed_storage::Store;
use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use metrics::gauge;

use crate::brokers::{Brokers, Failed};
use crate::error::{Error, Result};
use crate::gap;
use crate::lag::Lag;
use crate::mailbox::Mailbox;
use crate::start::{self, Extent, Gap, GapReason};

/// How often at most the last contact is noted in the store.
const NOTE_EVERY: Duration = Duration::from_secs(2);
/// How often a missing topic is looked for, at the least.
const MISSING_RETRY: Duration = Duration::from_secs(2);

/// The lookout and its surroundings.
pub(crate) struct Watcher {
    pub(crate) brokers: Brokers,
    pub(crate) store: Arc<Store>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) poll: Duration,
    pub(crate) refresh: Duration,
}

/// What the lookout has settled so far.
#[derive(Default)]
struct Settled {
    followed: BTreeSet<TopicPartition>,
    gaps: BTreeSet<TopicPartition>,
    log_starts: BTreeMap<TopicPartition, i64>,
    /// The reader's offsets, while they are yet to be compared with the logs.
    recheck: Option<BTreeMap<TopicPartition, i64>>,
    next_discovery: Option<Instant>,
    /// How far the last note in the store goes, and when another may be made.
    noted: Option<(TimestampMs, Instant)>,
}

impl Watcher {
    /// Watches until asked to stop.
    pub(crate) fn run(self) -> Result<()> {
        let mut settled = Settled::default();
        let mut said = None;
        while !self.mailbox.is_stopped() {
            match self.look(&mut settled) {
                Ok(()) => said = None,
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::OutOfContact(detail)) => {
                    // An outage is one thing to say, not two a second.
                    if said.as_ref() != Some(&detail) {
                        tracing::warn!("no contact with Kafka: {detail}");
                        said = Some(detail.clone());
                    }
                    self.lag().no_contact(detail);
                }
            }
            self.publish();
            if settled.noted.is_none_or(|(_, again)| Instant::now() >= again) {
                self.note(&mut settled)?;
            }
            self.mailbox.rest(self.poll);
        }
        self.note(&mut settled)
    }

    /// Notes in the store how fresh it is, so that after a restart an idle topic's last record does not decide its age.
    fn note(&self, settled: &mut Settled) -> Result<()> {
        let Some(contact) = self.lag().contact_so_far(self.now_ms()) else { return Ok(()) };
        if settled.noted.is_none_or(|(noted, _)| noted < contact.through) {
            self.store.note_contact(&contact)?;
            settled.noted = Some((contact.through, Instant::now() + NOTE_EVERY));
        }
        Ok(())
    }

    fn look(&self, settled: &mut Settled) -> Result<(), Failed> {
        if settled.next_discovery.is_none_or(|due| Instant::now() >= due) {
            let complete = self.discover(settled)?;
            let wait = if complete { self.refresh } else { self.refresh.min(MISSING_RETRY) };
            settled.next_discovery = Some(Instant::now() + wait);
        }
        settled.recheck = self.mailbox.take_recheck().or(settled.recheck.take());
        if let Some(offsets) = settled.recheck.take() {
            self.recheck(offsets, settled)?;
        }
        for (topic, _) in self.brokers.names.all() {
            if self.mailbox.is_stopped() {
                break;
            }
            let followed: Vec<_> = settled.followed.iter().filter(|at| at.topic == *topic).copied().collect();
            if !self.hear_ends(&followed, settled)? {
                // The library answers an outage like a partition that is gone: the metadata tells which it is.
                settled.next_discovery = None;
                break;
            }
        }
        Ok(())
    }

    /// Looks for topics and partitions; `false` while one of the topics is not there.
    fn discover(&self, settled: &mut Settled) -> Result<bool, Failed> {
        let mut complete = true;
        for (topic, name) in self.brokers.names.all() {
            if self.mailbox.is_stopped() {
                break;
            }
            match self.brokers.partitions(name)? {
                Ok(partitions) => complete &= self.settle_topic(*topic, partitions, settled)?,
                Err(detail) => {
                    tracing::warn!(topic = topic.name(), kafka_topic = name, "topic not found: {detail}");
                    self.lag().topic_missing(*topic, detail);
                    self.let_go(*topic, settled);
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
        let as_of = self.now_ms();
        let extents = self.brokers.extents(&all)?;
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
                    self.lag().started(*at, begin.next);
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
        self.lag().topic_there(topic);
        self.lag().heard(&extents, as_of);
        self.lag().complete(topic, as_of);
        Ok(true)
    }

    /// A topic that is gone may come back as another: where to begin is then decided anew, from what the store holds.
    fn let_go(&self, topic: Topic, settled: &mut Settled) {
        let gone: Vec<_> = settled.followed.extract_if(.., |at| at.topic == topic).collect();
        self.mailbox.order(|orders| {
            orders.start.retain(|at, _| at.topic != topic);
            orders.drop.extend(gone);
        });
    }

    fn give_up(&self, at: TopicPartition, gap: Gap, settled: &mut Settled) {
        settled.gaps.insert(at);
        if settled.followed.remove(&at) {
            self.mailbox.order(|orders| {
                orders.start.remove(&at);
                orders.drop.insert(at);
            });
        }
        gap::report(self.lag(), at, gap);
    }

    /// The library lost its place in some partition and does not say which: those whose offset is no longer in the log
    /// are given up, all others are read on.
    fn recheck(&self, offsets: BTreeMap<TopicPartition, i64>, settled: &mut Settled) -> Result<(), Failed> {
        let all: Vec<_> = offsets.keys().copied().collect();
        let asked = self.brokers.extents(&all);
        if !asked.as_ref().is_ok_and(|extents| extents.len() == all.len()) {
            // Compared with the next look.
            settled.recheck = Some(offsets);
            return asked.map(drop);
        }
        for (at, log) in asked? {
            if let Err(gap) = start::check(offsets[&at], log) {
                self.give_up(at, gap, settled);
            }
        }
        self.mailbox.order(|orders| orders.restart = true);
        Ok(())
    }

    /// Asks where the logs of some partitions end and tells the lag.
    /// Hears how far logs go; `false` when none of them answered.
    fn hear_ends(&self, partitions: &[TopicPartition], settled: &Settled) -> Result<bool, Failed> {
        let as_of = self.now_ms();
        let ends = self.brokers.ends(partitions)?;
        let answered = partitions.is_empty() || !ends.is_empty();
        let heard = ends.into_iter().map(|(at, end)| {
            let start = settled.log_starts.get(&at).copied().unwrap_or(0);
            (at, Extent { start, end })
        });
        self.lag().heard(&heard.collect::<Vec<_>>(), as_of);
        Ok(answered)
    }

    fn lag(&self) -> &Lag {
        &self.brokers.lag
    }

    fn now_ms(&self) -> TimestampMs {
        (self.brokers.clock)()
    }

    fn publish(&self) {
        let mut topics: BTreeMap<Topic, i64> = BTreeMap::new();
        for (at, age_ms, records) in self.lag().gauges(self.now_ms()) {
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

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn as_f64(value: i64) -> f64 {
    value as f64
}
