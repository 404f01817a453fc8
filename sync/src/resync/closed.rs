//! Which arrival days are over: for this node, which has applied all of them, and for the center, which holds all of them.

use std::collections::BTreeMap;

use edgefeed_storage::model::{DAY_MS, Day, TimestampMs, Topic, TopicPartition, day_of};
use edgefeed_storage::{Begin, Position};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use super::error::{Error, Result};
use crate::sink::Group;
use crate::start::Extent;

/// What a store has applied itself: from where, by partition of `events`, and up to where.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// [`edgefeed_storage::Store::begins`].
    pub begins: BTreeMap<u32, Begin>,
    /// [`edgefeed_storage::Store::positions`].
    pub positions: BTreeMap<TopicPartition, Position>,
}

/// The first arrival day that is not over, if everything before it is at the center and in a store, and the store has
/// everything of that day and later of its own; `None` where one of this does not hold yet. Blocks for a few times
/// `kafka.request_timeout_ms` at most.
///
/// # Errors
/// When Kafka could not be asked.
pub fn closed_day(
    kafka: &crate::Config,
    sink: &crate::sink::Config,
    own: &Own,
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
        let Some(log) = logs.get(at).copied() else { return false };
        let first = firsts.get(at).copied().filter(|first| *first >= 0).unwrap_or(log.end);
        let committed = committed.get(at).map(|commit| commit.offset);
        let held = own.positions.get(at).map(|held| held.next_offset);
        is_over(first, log, committed, own.begins.get(&at.partition).map(|begin| begin.offset), held)
    };
    Ok(partitions.iter().all(over).then_some(own_from))
}

/// Whether the days before the record at `first` are over in a partition.
fn is_over(first: i64, log: Extent, committed: Option<i64>, begin: Option<i64>, held: Option<i64>) -> bool {
    // Nothing was ever written before that day, so there is nothing to have.
    let nothing = first == 0 && log.start == 0;
    let at_center = committed.map_or(nothing, |offset| offset >= first);
    let here = held.map_or(nothing, |next| next >= first);
    // What a rebuild took from the center of that very day would be in neither part.
    let own = begin.map_or(held.is_none(), |offset| offset <= first);
    at_center && here && own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_when_the_center_and_the_store_have_it_whole_and_the_next_is_the_stores_own() {
        let log = Extent { start: 10, end: 90 };
        let over = |committed, begin, held| is_over(50, log, committed, begin, held);
        assert!(over(Some(50), Some(0), Some(50)));
        assert!(over(Some(90), Some(50), Some(90)));
        assert!(!over(Some(49), Some(0), Some(90)), "the center is behind");
        assert!(!over(Some(90), Some(0), Some(49)), "the store is behind");
        assert!(!over(Some(90), Some(51), Some(90)), "some of the new day came from the center");
        assert!(!over(None, Some(0), Some(90)) && !over(Some(90), None, Some(90)));
        let empty = Extent { start: 0, end: 0 };
        assert!(is_over(0, empty, None, None, None));
        assert!(is_over(0, empty, None, Some(0), None));
    }
}
