//! What the sink stands on, and the questions it asks beside reading: of the group, of the center, of the store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use metrics::gauge;
use rdkafka::consumer::Consumer as _;
use tokio::runtime::Handle;

use super::begin::{Known, Refused, begin};
use super::board::Board;
use super::commit::{Commit, Mark};
use super::committer::Committed;
use super::config::Config;
use super::gather::Source;
use super::group::Seat;
use super::plan::plan;
use super::share::{Flush, Share};
use super::status::{PartitionStatus, Resume, ResumeError, Resumed, SinkStatus};
use crate::Clock;
use crate::center::{Center, Class, Latest, Table};
use crate::decode::Decode;
use crate::lag::Lag;
use crate::names::Names;
use crate::start::Extent;

/// What the sink stands on.
pub(crate) struct Parts {
    pub(crate) kafka: crate::Config,
    pub(crate) sink: Config,
    pub(crate) cluster: String,
    pub(crate) names: Names,
    pub(crate) decode: Decode,
    pub(crate) store: Arc<Store>,
    pub(crate) lag: Arc<Lag>,
    pub(crate) center: Arc<Center>,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Clock,
    pub(crate) runtime: Handle,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) status: Mutex<Vec<PartitionStatus>>,
}

/// What became of an attempt to begin.
pub(crate) enum Begun {
    Yes(Box<Share>),
    /// Somebody has to decide.
    Refused(Refused),
    /// Somebody does not answer; asked again later.
    NotYet(String),
}

impl Parts {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// How long a broker's answer is waited for.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.kafka.request_timeout_ms)
    }

    /// Notes a partition that does not go on by itself.
    pub(crate) fn stall(&self, at: TopicPartition, reason: &'static str, detail: &str) {
        if let Some(table) = Table::of(at.topic) {
            self.board.stall(at, table, reason, detail);
        }
    }

    /// Up to which offset somebody has accepted bad records.
    pub(crate) fn accepted(&self, at: TopicPartition) -> i64 {
        let accepted = self.store.accepted_bad_through(at).unwrap_or_else(|error| {
            tracing::warn!("what was accepted of bad records cannot be read: {error}");
            None
        });
        accepted.unwrap_or(-1)
    }

    /// Looks where to begin in these partitions.
    pub(crate) fn plan(&self, seat: &Seat, partitions: &[TopicPartition]) -> Vec<(TopicPartition, Begun)> {
        match seat.committed(partitions, self.patience()) {
            Err(error) => partitions.iter().map(|at| (*at, Begun::NotYet(error.to_string()))).collect(),
            Ok(commits) => partitions.iter().map(|at| (*at, self.begin(seat, *at, commits.get(at)))).collect(),
        }
    }

    fn begin(&self, seat: &Seat, at: TopicPartition, commit: Option<&(i64, String)>) -> Begun {
        let (Some(table), Some(topic)) = (Table::of(at.topic), self.names.name(at.topic)) else {
            return Begun::NotYet("the topic has no table".to_owned());
        };
        if self.lag.gaps().iter().any(|(other, _)| *other == at) {
            let detail = "this node's store does not follow the partition".to_owned();
            return Begun::Refused(Refused { reason: "following", detail });
        }
        let commit = commit.map(|(offset, metadata)| Commit { offset: *offset, mark: Mark::parse(metadata) });
        let log = match self.log(seat, at, topic) {
            Ok(log) => log,
            Err(error) => return Begun::NotYet(error),
        };
        let center = match commit.map_or_else(|| self.latest(at, topic), |_| Ok(None)) {
            Ok(center) => center,
            Err(Asked::Later(why)) => return Begun::NotYet(why),
            Err(Asked::Refused(refused)) => return Begun::Refused(refused),
        };
        let marked_from = self.store.position(at).filter(|_| at.topic == Topic::Events);
        let known = Known { commit, log, center, marked_from: marked_from.map(|position| position.marked_from) };
        match begin(known) {
            Err(refused) => Begun::Refused(refused),
            Ok(begin) => {
                let source = Source {
                    ids: self.decode.ids,
                    cluster: self.cluster.clone(),
                    epoch: begin.mark.epoch,
                    topic: topic.to_owned(),
                    partition: at.partition,
                };
                tracing::info!(topic, partition = at.partition, ?begin, "the sink goes on here");
                Begun::Yes(Box::new(Share::new(at, table, source, begin, self.flush())))
            }
        }
    }

    fn flush(&self) -> Flush {
        let least = Duration::from_millis(self.sink.flush_ms);
        Flush { least, most: Duration::from_millis(self.sink.flush_max_ms).max(least), now: least }
    }

    /// Kafka's log of a partition, as it is now.
    fn log(&self, seat: &Seat, at: TopicPartition, topic: &str) -> Result<Extent, String> {
        let number = i32::try_from(at.partition).map_err(|error| error.to_string())?;
        let (start, end) =
            seat.consumer.fetch_watermarks(topic, number, self.patience()).map_err(|error| error.to_string())?;
        Ok(Extent { start, end })
    }

    fn latest(&self, at: TopicPartition, topic: &str) -> Result<Option<Latest>, Asked> {
        let Some(table) = Table::of(at.topic) else { return Ok(None) };
        let asked = self.center.latest_range(&self.cluster, topic, at.partition, table);
        match self.runtime.block_on(asked) {
            Ok(latest) => Ok(latest),
            Err(error) => Err(match error.class() {
                Class::Systemic(reason) => Asked::Refused(Refused { reason, detail: error.to_string() }),
                _ => Asked::Later(error.to_string()),
            }),
        }
    }

    /// Follows an order to go on, for what waits for one.
    pub(crate) fn resume(
        &self,
        seat: &Seat,
        order: &Resume,
        waiting: &[(TopicPartition, Refused)],
    ) -> Result<Vec<Resumed>, ResumeError> {
        order.check().map_err(ResumeError::Order)?;
        let asked_for = |at: &TopicPartition| {
            let name = self.names.name(at.topic);
            order
                .only
                .as_ref()
                .is_none_or(|(topic, partition)| (Some(topic.as_str()), *partition) == (name, at.partition))
        };
        let partitions: Vec<_> = waiting.iter().map(|(at, _)| *at).filter(asked_for).collect();
        if partitions.is_empty() {
            return Err(ResumeError::Order("nothing that this node owns waits for an order".to_owned()));
        }
        let commits = seat.committed(&partitions, self.patience());
        let commits = commits.map_err(|error| ResumeError::Failed(format!("asking the group: {error}")))?;
        partitions.iter().map(|at| self.resume_one(seat, order, *at, commits.get(at))).collect()
    }

    fn resume_one(
        &self,
        seat: &Seat,
        order: &Resume,
        at: TopicPartition,
        commit: Option<&(i64, String)>,
    ) -> Result<Resumed, ResumeError> {
        let topic = self.names.name(at.topic).unwrap_or_default();
        let named = |why: String| ResumeError::Failed(format!("{topic}-{}: {why}", at.partition));
        let commit = commit.map(|(offset, metadata)| Commit { offset: *offset, mark: Mark::parse(metadata) });
        let log = self.log(seat, at, topic).map_err(named)?;
        let latest = self.latest(at, topic).map_err(|asked| match asked {
            Asked::Later(why) => named(why),
            Asked::Refused(refused) => named(refused.detail),
        })?;
        let planned = plan(order.from, commit, latest, log)
            .map_err(|why| ResumeError::Order(format!("{topic}-{}: {why}", at.partition)))?;
        match seat.commit(&[(at, planned.offset, planned.mark)], || self.is_stopped()).get(&at) {
            Some(Committed::Yes) => Ok(Resumed {
                topic: topic.to_owned(),
                partition: at.partition,
                from_offset: planned.offset,
                pending_through: planned.mark.pending_through,
                epoch: planned.mark.epoch,
            }),
            _ => Err(named("the group did not take the commit; try again".to_owned())),
        }
    }

    /// Tells numbers and the status.
    pub(crate) fn tell(
        &self,
        shares: &BTreeMap<TopicPartition, Share>,
        waiting: &BTreeMap<TopicPartition, Option<Refused>>,
        behind: &mut Behind,
    ) {
        let now_ms = (self.clock)();
        let mut ages: BTreeMap<Topic, i64> = BTreeMap::new();
        behind.retain(|at, _| shares.contains_key(at) || waiting.contains_key(at));
        let mut told = Vec::with_capacity(shares.len() + waiting.len());
        for share in shares.values() {
            let log = self.lag.extent(share.at);
            let age = age_ms(behind, share.at, share.committed < log.1, share.oldest(), now_ms);
            let worst = ages.entry(share.at.topic).or_default();
            *worst = age.max(*worst);
            told.push(self.partition_status(share.at, Some(share), log));
        }
        for at in waiting.keys() {
            let log = self.lag.extent(*at);
            // What the center lacks of it is not known before it is begun: any record may be.
            let age = age_ms(behind, *at, log.0 < log.1, None, now_ms);
            let worst = ages.entry(at.topic).or_default();
            *worst = age.max(*worst);
            told.push(self.partition_status(*at, None, log));
        }
        for (topic, age) in ages {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of an age are far below 2^53")]
            gauge!("edgefeed_sink_lag_seconds", "topic" => topic.name()).set(age as f64 / 1_000.0);
        }
        told.sort_by(|left, right| (&left.topic, left.partition).cmp(&(&right.topic, right.partition)));
        *self.statuses() = told;
    }

    fn partition_status(&self, at: TopicPartition, share: Option<&Share>, log: (i64, i64)) -> PartitionStatus {
        let (start, end) = log;
        PartitionStatus {
            topic: self.names.name(at.topic).unwrap_or_default().to_owned(),
            partition: at.partition,
            owner: true,
            committed: share.map(|share| share.committed),
            pending_through: share.and_then(Share::pending),
            epoch: share.map(|share| share.source.epoch),
            log_start: Some(start),
            log_end: Some(end),
            lag_records: share.map(|share| (end - share.committed).max(0)),
            stalled: self.board.stalled(at),
        }
    }

    /// This node's share as last told.
    pub(crate) fn status(&self) -> SinkStatus {
        SinkStatus {
            group: self.sink.group.clone(),
            cluster: self.cluster.clone(),
            partitions: self.statuses().clone(),
        }
    }

    fn statuses(&self) -> MutexGuard<'_, Vec<PartitionStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when partitions have had records that the center lacks.
pub(crate) type Behind = BTreeMap<TopicPartition, TimestampMs>;

/// How old the oldest record is that the center lacks of a partition: as its own time says, or, while none was read,
/// at least as old as that has been so.
fn age_ms(
    behind: &mut Behind,
    at: TopicPartition,
    lacks: bool,
    oldest: Option<TimestampMs>,
    now_ms: TimestampMs,
) -> i64 {
    if !lacks {
        behind.remove(&at);
        return 0;
    }
    let since = *behind.entry(at).or_insert(now_ms);
    (now_ms - oldest.map_or(since, |oldest| oldest.min(since))).max(0)
}

/// Why the center did not say what it holds.
enum Asked {
    Later(String),
    Refused(Refused),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_stands_still_grows_older_and_one_that_lacks_nothing_has_no_age() {
        let at = TopicPartition { topic: Topic::Events, partition: 1 };
        let mut behind = Behind::new();
        assert_eq!(age_ms(&mut behind, at, true, None, 1_000), 0);
        assert_eq!(age_ms(&mut behind, at, true, None, 61_000), 60_000, "nothing was read of it meanwhile");
        assert_eq!(age_ms(&mut behind, at, true, Some(500), 61_000), 60_500, "a record tells its own time");
        assert_eq!(age_ms(&mut behind, at, false, None, 62_000), 0);
        assert_eq!(age_ms(&mut behind, at, true, None, 63_000), 0, "behind anew");
    }
}
