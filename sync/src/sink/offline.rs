//! The sink as seen from outside: what its group has committed, and new commits while no node is a member of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edgefeed_storage::model::{Topic, TopicPartition};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::board;
use super::commit::{Commit, Mark};
use super::plan::{Plan, plan};
use super::status::{PartitionStatus, Resume, ResumeError, Resumed, SinkStatus, Stalled};
use crate::brokers::found_partitions;
use crate::center::Latest;
use crate::client::{self, Client};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::start::Extent;

/// How long a group's coordinator may be on its way, at least.
const COORDINATOR_PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions to a group whose coordinator is on its way.
const COORDINATOR_PAUSE: Duration = Duration::from_millis(200);

/// How the group stands, asked of the brokers alone. Of stalls it knows those that follow from the offsets; `owner` is
/// nobody. Blocks for a few times `kafka.request_timeout_ms` at most.
///
/// Errors: [`Error::Config`], [`Error::Kafka`] when no broker answers.
pub fn status_offline(kafka: &Config, sink: &super::Config, cluster: &str) -> Result<SinkStatus> {
    let group = Group::connect(kafka, sink)?;
    let partitions = group.partitions()?;
    let (committed, logs) = (group.committed(&partitions)?, group.logs(&partitions)?);
    let rows = partitions.iter().map(|at| {
        let name = group.name(at.topic).to_owned();
        row(name, at.partition, committed.get(at).copied(), logs.get(at).copied())
    });
    Ok(SinkStatus { group: sink.group.clone(), cluster: cluster.to_owned(), partitions: rows.collect() })
}

/// Commits where the sink is to go on, as far as the group has no members: they are the ones to ask otherwise. All
/// partitions are decided before the one commit. `latest` tells what the center holds of a topic's partition.
///
/// Blocks for a few times `kafka.request_timeout_ms` at most, and for `latest`.
pub fn resume_offline(
    kafka: &Config,
    sink: &super::Config,
    order: &Resume,
    latest: impl Fn(Topic, &str, u32) -> Result<Option<Latest>, String>,
) -> Result<Vec<Resumed>, ResumeError> {
    let failed = |error: Error| ResumeError::Failed(error.to_string());
    let group = Group::connect(kafka, sink).map_err(failed)?;
    let mut partitions = group.partitions().map_err(failed)?;
    if let Some((topic, partition)) = &order.only {
        partitions.retain(|at| at.partition == *partition && group.name(at.topic) == topic);
        if partitions.is_empty() {
            return Err(ResumeError::Order(format!("Kafka has no partition {topic}-{partition} that is followed")));
        }
    }
    let committed = group.committed(&partitions).map_err(failed)?;
    let logs = group.logs(&partitions).map_err(failed)?;
    let mut plans = BTreeMap::new();
    for at in partitions {
        let named = |detail| format!("{}-{}: {detail}", group.name(at.topic), at.partition);
        let log = logs.get(&at).copied();
        let log = log.ok_or_else(|| ResumeError::Failed(named("its log has no leader; try again".to_owned())))?;
        let latest = latest(at.topic, group.name(at.topic), at.partition).map_err(ResumeError::Failed)?;
        let planned = plan(order.from, committed.get(&at).copied(), latest, log);
        plans.insert(at, planned.map_err(|detail| ResumeError::Order(named(detail)))?);
    }
    group.commit(&plans)?;
    let resumed = plans.into_iter().map(|(at, Plan { offset, mark })| Resumed {
        topic: group.name(at.topic).to_owned(),
        partition: at.partition,
        from_offset: offset,
        pending_through: mark.pending_through,
        epoch: mark.epoch,
    });
    Ok(resumed.collect())
}

/// The group, seen by a client that never joins it.
pub(crate) struct Group {
    pub(crate) client: Client,
    pub(crate) names: Names,
    pub(crate) timeout: Duration,
}

impl Group {
    /// A client of its own; no broker is asked yet.
    pub(crate) fn connect(kafka: &Config, sink: &super::Config) -> Result<Self> {
        Ok(Self {
            client: client::outsider(kafka, &sink.group)?,
            names: Names::new(kafka.topics.followed()),
            timeout: Duration::from_millis(kafka.request_timeout_ms),
        })
    }

    fn name(&self, topic: Topic) -> &str {
        self.names.name(topic).unwrap_or_default()
    }

    /// Every partition of the followed topics that are there.
    pub(crate) fn partitions(&self) -> Result<Vec<TopicPartition>> {
        let mut all = Vec::new();
        for (topic, name) in self.names.all() {
            let metadata = self.client.fetch_metadata(Some(name), self.timeout);
            match found_partitions(&metadata.map_err(Error::kafka("asking for partitions"))?, name) {
                Ok(count) => all.extend((0..count).map(|partition| TopicPartition { topic: *topic, partition })),
                Err(detail) => tracing::warn!(topic = topic.name(), kafka_topic = name, "topic not found: {detail}"),
            }
        }
        Ok(all)
    }

    /// What the group has committed, where it has.
    pub(crate) fn committed(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Commit>> {
        let list = self.names.list(partitions.iter().map(|at| (*at, Offset::Invalid)))?;
        let answer = self.patiently(|| self.client.committed_offsets(list.clone(), self.timeout));
        let answer = answer.map_err(Error::kafka("asking for the group's commits"))?;
        let mut found = BTreeMap::new();
        for element in answer.elements() {
            element.error().map_err(Error::kafka("asking for the group's commits"))?;
            if let (Some(topic), Ok(partition), Offset::Offset(offset)) =
                (self.names.topic(element.topic()), u32::try_from(element.partition()), element.offset())
            {
                let commit = Commit { offset, mark: Mark::parse(element.metadata()) };
                found.insert(TopicPartition { topic, partition }, commit);
            }
        }
        Ok(found)
    }

    /// The extents of the partitions' logs; those without a leader are left out.
    pub(crate) fn logs(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Extent>> {
        let asked = |which| -> Result<Vec<_>> {
            let list = self.names.list(partitions.iter().map(|at| (*at, which)))?;
            let answer = self.client.offsets_for_times(list, self.timeout);
            Ok(self.names.offsets(&answer.map_err(Error::kafka("asking how far logs go"))?))
        };
        let ends: BTreeMap<_, _> = asked(Offset::End)?.into_iter().collect();
        let starts = asked(Offset::Beginning)?.into_iter();
        Ok(starts.filter_map(|(at, start)| Some((at, Extent { start, end: *ends.get(&at)? }))).collect())
    }

    /// One commit for all. Brokers take it from somebody who is no member only while there are none.
    fn commit(&self, plans: &BTreeMap<TopicPartition, Plan>) -> Result<(), ResumeError> {
        let offsets = plans.iter().map(|(at, plan)| (*at, Offset::Offset(plan.offset)));
        let list = self.names.list(offsets).map_err(|error| ResumeError::Failed(error.to_string()))?;
        for (at, plan) in plans {
            let number = i32::try_from(at.partition).unwrap_or(i32::MAX);
            if let Some(mut element) = list.find_partition(self.name(at.topic), number) {
                element.set_metadata(plan.mark.to_string());
            }
        }
        let committed = self.patiently(|| self.client.commit(&list, CommitMode::Sync));
        committed.map_err(|error| refused(&error))?;
        for element in list.elements() {
            element.error().map_err(|error| refused(&error))?;
        }
        Ok(())
    }
}

impl Group {
    /// Asks again while the group's coordinator is being found or read, which takes a moment for a group that is new.
    fn patiently<T>(&self, ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
        let deadline = Instant::now() + self.timeout.max(COORDINATOR_PATIENCE);
        loop {
            match ask() {
                Err(error) if is_coordinator_away(&error) && Instant::now() < deadline => {
                    std::thread::sleep(COORDINATOR_PAUSE);
                }
                answer => return answer,
            }
        }
    }
}

fn is_coordinator_away(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::WaitingForCoordinator
        )
    )
}

/// Why a commit was not taken.
fn refused(error: &KafkaError) -> ResumeError {
    let members = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::StaleMemberEpoch
        )
    );
    ResumeError::Failed(match members {
        true => "a node of the group is running; run this where it runs, or stop the nodes of role \"sink\"".to_owned(),
        false => format!("kafka: committing: {error}; try again"),
    })
}

/// What can be said of a partition from its offsets alone.
fn row(topic: String, partition: u32, commit: Option<Commit>, log: Option<Extent>) -> PartitionStatus {
    let mark = commit.and_then(|commit| commit.mark);
    let lag = commit.zip(log).map(|(commit, log)| log.end.saturating_sub(commit.offset).max(0));
    let stalled = commit.and_then(|commit| judge(commit, log)).map(|(reason, detail)| Stalled {
        reason: reason.to_owned(),
        detail,
        mend: board::mend(reason).to_owned(),
    });
    PartitionStatus {
        topic,
        partition,
        owner: false,
        committed: commit.map(|commit| commit.offset),
        pending_through: mark.and_then(|mark| mark.pending_through),
        epoch: mark.map(|mark| mark.epoch),
        log_start: log.map(|log| log.start),
        log_end: log.map(|log| log.end),
        lag_records: lag,
        stalled,
    }
}

fn judge(commit: Commit, log: Option<Extent>) -> Option<(&'static str, String)> {
    if commit.mark.is_none() {
        return Some(("foreign_commit", format!("another tool committed {} for the group", commit.offset)));
    }
    let log = log?;
    if commit.offset < log.start {
        let detail = format!("the group is to go on at {}, and Kafka's log begins at {}", commit.offset, log.start);
        return Some(("range_lost", detail));
    }
    let needs = commit.mark.and_then(|mark| mark.pending_through).map_or(commit.offset, |end| end.saturating_add(1));
    (needs > log.end)
        .then(|| ("beyond_log_end", format!("the group has come to {needs}, and Kafka's log ends at {}", log.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(offset: i64, metadata: &str) -> Option<String> {
        let commit = Commit { offset, mark: Mark::parse(metadata) };
        row("events".to_owned(), 3, Some(commit), Some(Extent { start: 10, end: 90 })).stalled.map(|found| found.reason)
    }

    #[test]
    fn offsets_alone_tell_a_foreign_commit_a_lost_range_and_another_log() {
        assert_eq!(reason(10, "e:0"), None);
        assert_eq!(reason(90, "e:0"), None);
        assert_eq!(reason(40, "p:89;e:2"), None);
        assert_eq!(reason(40, "").as_deref(), Some("foreign_commit"));
        assert_eq!(reason(9, "p:20;e:0").as_deref(), Some("range_lost"));
        assert_eq!(reason(91, "e:0").as_deref(), Some("beyond_log_end"));
        assert_eq!(reason(40, "p:90;e:2").as_deref(), Some("beyond_log_end"));
    }

    #[test]
    fn a_partition_without_a_commit_or_a_leader_shows_what_is_known() {
        let row = row("events".to_owned(), 3, None, Some(Extent { start: 10, end: 90 }));
        assert_eq!((row.committed, row.lag_records, row.log_end, row.stalled), (None, None, Some(90), None));
    }
}
