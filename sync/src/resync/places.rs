//! Where the log is cut: at what the sink's group has committed, for everything below it is at the center. Asked before
//! anything is read there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use crate::Clock;
use crate::center::{Center, Table};
use crate::sink::{Commit, Group};
use crate::start::Extent;

/// How long the records around the cut may take to arrive, at most.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// The cut of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) at: TopicPartition,
    /// Everything below it is at the center; it is the first to be read from Kafka.
    pub(crate) offset: i64,
    /// The record before it, where Kafka still has it: offset and time.
    pub(crate) last: Option<(i64, TimestampMs)>,
    /// No record from the cut on is older than this, by Kafka's time.
    pub(crate) begin_ms: TimestampMs,
}

/// The brokers and the center, as far as it takes to find the cut.
pub(crate) struct Surveyor<'a> {
    pub(crate) kafka: &'a crate::Config,
    pub(crate) sink: &'a crate::sink::Config,
    pub(crate) clock: &'a Clock,
}

impl Surveyor<'_> {
    /// The cut of every partition that the sink has begun, and those it has not. Blocks for some times
    /// `kafka.request_timeout_ms` and [`READ_PATIENCE`] at most.
    pub(crate) fn survey(&self) -> Result<(Vec<Place>, Vec<TopicPartition>)> {
        let group = Group::connect(self.kafka, self.sink)?;
        let all = group.partitions()?;
        let committed = group.committed(&all)?;
        // Behind the commits: what is at the end of a log now was written before what comes.
        let asked_ms = (self.clock)();
        let logs = group.logs(&all)?;
        let (mut wanted, mut not_begun) = (BTreeMap::new(), Vec::new());
        for at in all.into_iter().filter(|at| Table::of(at.topic).is_some()) {
            let named = format!("{}-{}", group.names.name(at.topic).unwrap_or_default(), at.partition);
            let Some(log) = logs.get(&at).copied() else {
                return Err(Error::Refused(format!("{named}: its log has no leader; try again")));
            };
            match committed.get(&at) {
                None => not_begun.push(at),
                Some(commit) => {
                    check(*commit, log).map_err(|why| Error::Refused(format!("{named}: {why}")))?;
                    wanted.insert(at, (commit.offset, log));
                }
            }
        }
        let mut places = Vec::new();
        for topic in Topic::ALL {
            places.extend(read_around(&group, topic, &wanted, asked_ms)?);
        }
        Ok((places, not_begun))
    }

    /// Whether Kafka still has everything from these places on.
    pub(crate) fn still_there(&self, places: &[Place]) -> Result<bool> {
        let group = Group::connect(self.kafka, self.sink)?;
        let partitions: Vec<_> = places.iter().map(|place| place.at).collect();
        let logs = group.logs(&partitions)?;
        let readable =
            |place: &Place| logs.get(&place.at).is_some_and(|log| (log.start..=log.end).contains(&place.offset));
        Ok(places.iter().all(readable))
    }
}

/// A partition that the sink has not begun is read from the start of its log, which is whole only if the center knows
/// nothing of it.
pub(crate) async fn check_not_begun(
    center: &Center,
    cluster: &str,
    kafka: &crate::Config,
    not_begun: &[TopicPartition],
) -> Result<()> {
    for at in not_begun {
        let (Some(table), Some(name)) = (Table::of(at.topic), kafka.topics.name_of(at.topic)) else { continue };
        if center.has_rows(cluster, name, at.partition, table).await.map_err(Error::Center)? {
            return Err(Error::Refused(format!(
                "{name}-{}: the sink's group has no offset, and the center holds rows of it; order `edgefeed sink resume` first",
                at.partition
            )));
        }
    }
    Ok(())
}

/// Whether the center and Kafka together hold the whole log.
fn check(commit: Commit, log: Extent) -> std::result::Result<(), String> {
    let mend = "see `edgefeed sink status`, and order `edgefeed sink resume` first";
    if commit.mark.is_none() {
        return Err(format!("the group's offset {} was not committed by the sink; {mend}", commit.offset));
    }
    if commit.offset < log.start {
        return Err(format!(
            "the sink has come to offset {}, and Kafka's log begins at {}: records are nowhere; {mend}",
            commit.offset, log.start
        ));
    }
    if commit.offset > log.end {
        return Err(format!(
            "the sink has come to offset {}, and Kafka's log ends at {}; {mend}",
            commit.offset, log.end
        ));
    }
    Ok(())
}

/// What is being looked for in one partition.
struct Looking {
    place: Place,
    end: i64,
    done: bool,
}

/// Reads the records around the cut of every partition of one topic.
fn read_around(
    group: &Group,
    topic: Topic,
    wanted: &BTreeMap<TopicPartition, (i64, Extent)>,
    asked_ms: TimestampMs,
) -> Result<Vec<Place>> {
    let mut looking: BTreeMap<u32, Looking> = wanted
        .iter()
        .filter(|(at, _)| at.topic == topic)
        .map(|(at, (offset, log))| {
            // What does not stand in the log yet is written from now on.
            let place = Place { at: *at, offset: *offset, last: None, begin_ms: asked_ms };
            let first = first_to_read(*offset, *log);
            (at.partition, Looking { place, end: log.end, done: first >= log.end })
        })
        .collect();
    let starts = looking.values().filter(|look| !look.done).map(|look| {
        let (offset, log) = wanted[&look.place.at];
        (look.place.at, Offset::Offset(first_to_read(offset, log)))
    });
    let list = group.names.list(starts)?;
    group.client.assign(&list).map_err(crate::Error::kafka("assigning partitions"))?;
    let deadline = Instant::now() + READ_PATIENCE;
    while looking.values().any(|look| !look.done) {
        if Instant::now() > deadline {
            return Err(Error::Refused(format!(
                "{}: the records around the sink's offsets did not come; try again",
                topic.name()
            )));
        }
        match group.client.poll(POLL) {
            Some(Ok(message)) => {
                let Some(look) = u32::try_from(message.partition()).ok().and_then(|at| looking.get_mut(&at)) else {
                    continue;
                };
                look.meet(message.offset(), message.timestamp().to_millis().unwrap_or(asked_ms).max(0));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let look = u32::try_from(partition).ok().and_then(|at| looking.get_mut(&at));
                if let Some(look) = look {
                    look.done = true;
                }
            }
            Some(Err(error)) => tracing::debug!("reading around the sink's offsets: {error}"),
            None => {}
        }
    }
    Ok(looking.into_values().map(|look| look.place).collect())
}

fn first_to_read(offset: i64, log: Extent) -> i64 {
    (offset - 1).max(log.start)
}

impl Looking {
    fn meet(&mut self, offset: i64, time: TimestampMs) {
        if self.done {
            return;
        }
        if offset < self.place.offset {
            self.place.last = Some((offset, time));
        } else {
            self.place.begin_ms = time;
            self.done = true;
        }
        self.done |= offset + 1 >= self.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Mark;

    const LOG: Extent = Extent { start: 10, end: 90 };

    fn looked(records: &[(i64, TimestampMs)], offset: i64) -> Place {
        let at = TopicPartition { topic: Topic::Events, partition: 0 };
        let place = Place { at, offset, last: None, begin_ms: 5_000 };
        let mut look = Looking { place, end: LOG.end, done: first_to_read(offset, LOG) >= LOG.end };
        records.iter().for_each(|(offset, time)| look.meet(*offset, *time));
        look.place
    }

    #[test]
    fn the_record_before_the_cut_is_the_last_and_the_one_behind_it_tells_the_time() {
        let place = looked(&[(49, 700), (50, 800), (51, 900)], 50);
        assert_eq!((place.last, place.begin_ms), (Some((49, 700)), 800));
        let place = looked(&[(53, 800)], 50);
        assert_eq!((place.last, place.begin_ms), (None, 800), "the log has holes");
        let place = looked(&[(89, 700)], 90);
        assert_eq!((place.last, place.begin_ms), (Some((89, 700)), 5_000), "what comes is written from now on");
        assert_eq!(looked(&[(10, 800)], 10).begin_ms, 800);
    }

    #[test]
    fn records_that_are_nowhere_and_offsets_of_others_are_refused() {
        let mark = Some(Mark { pending_through: None, epoch: 0 });
        assert!(check(Commit { offset: 10, mark }, LOG).is_ok());
        assert!(check(Commit { offset: 90, mark }, LOG).is_ok());
        for commit in [Commit { offset: 9, mark }, Commit { offset: 91, mark }, Commit { offset: 50, mark: None }] {
            assert!(check(commit, LOG).is_err(), "{commit:?}");
        }
    }
}
