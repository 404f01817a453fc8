//! Which arrival days are over: for this node, which has applied all of them, and for the center, which holds all of them.

use std::collections::BTreeMap;

use edgefeed_storage::Position;
use edgefeed_storage::model::{DAY_MS, Day, TimestampMs, Topic, TopicPartition, day_of};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use super::error::{Error, Result};
use crate::sink::Group;

/// The first arrival day that is not over, if everything before it is at the center and in a store that stands at
/// `positions`; `None` while one of the two is behind. Blocks for a few times `kafka.request_timeout_ms` at most.
///
/// # Errors
/// When Kafka could not be asked.
pub fn closed_day(
    kafka: &crate::Config,
    sink: &crate::sink::Config,
    positions: &BTreeMap<TopicPartition, Position>,
    now_ms: TimestampMs,
    grace_ms: i64,
) -> Result<Option<Day>> {
    let own_from = day_of(now_ms - grace_ms);
    let group = Group::connect(kafka, sink)?;
    let mut partitions = group.partitions()?;
    partitions.retain(|at| at.topic == Topic::Events);
    if partitions.is_empty() {
        return Err(Error::Refused("kafka.topics.events: Kafka has no such topic".to_owned()));
    }
    let committed = group.committed(&partitions)?;
    let midnight = i64::from(own_from) * DAY_MS;
    let list = group.names.list(partitions.iter().map(|at| (*at, Offset::Offset(midnight))))?;
    let found = group.client.offsets_for_times(list, group.timeout);
    let found = found.map_err(crate::Error::kafka("asking where a day begins"))?;
    let firsts: BTreeMap<_, _> = group.names.offsets(&found).into_iter().collect();
    // Behind it: of a partition without a record of that day, everything there is belongs to earlier ones.
    let logs = group.logs(&partitions)?;
    let over = |at: &TopicPartition| {
        let Some(log) = logs.get(at) else { return false };
        let first = firsts.get(at).copied().filter(|first| *first >= 0).unwrap_or(log.end);
        let at_center = committed.get(at).map_or(first == log.start && log.start == 0, |commit| commit.offset >= first);
        let here = positions.get(at).map_or(first == log.start && log.start == 0, |held| held.next_offset >= first);
        at_center && here
    };
    Ok(partitions.iter().all(over).then_some(own_from))
}
