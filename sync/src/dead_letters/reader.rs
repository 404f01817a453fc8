//! Reading a dead-letter topic, one partition after the other, from its start to its end at the time of asking.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use edgefeed_storage::model::TimestampMs;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::split_name;
use crate::brokers::found_partitions;
use crate::client::{self, Client, is_out_of_contact};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::start::Extent;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(200);
/// How long a partition that has records may give none.
const QUIET: Duration = Duration::from_secs(20);

/// One part of a partition's dead letters: those whose place falls into it. A topic of many is read part by part, so
/// that what is remembered is bounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) of: u64,
}

impl Part {
    fn holds(self, partition: u32, offset: i64) -> bool {
        (u64::from(partition) ^ offset.cast_unsigned()) % self.of == self.number
    }
}

/// Reads dead letters.
pub(crate) struct Reader {
    client: Client,
    topic: String,
    timeout: Duration,
}

impl Reader {
    pub(crate) fn connect(config: &Config, topic: &str) -> Result<Self> {
        Ok(Self {
            client: client::outsider(config, &format!("{}-dead-letters", config.client_id))?,
            topic: topic.to_owned(),
            timeout: Duration::from_millis(config.request_timeout_ms),
        })
    }

    /// How many partitions a topic has, or why it has none.
    pub(super) fn partitions(&self, topic: &str) -> Result<Result<u32, String>> {
        let metadata = self.client.fetch_metadata(Some(topic), self.timeout);
        Ok(found_partitions(&metadata.map_err(Error::kafka("asking for partitions"))?, topic))
    }

    /// Where a partition's log begins and ends now.
    pub(super) fn extent(&self, partition: i32) -> Result<Extent> {
        let (start, end) = self
            .client
            .fetch_watermarks(&self.topic, partition, self.timeout)
            .map_err(Error::kafka("asking how far a log goes"))?;
        Ok(Extent { start, end })
    }

    /// The offsets of the dead letters of `source` that still stand: the latest record of each key, unless it has no
    /// value. `foreign` counts records that are none, once.
    pub(super) fn standing(
        &self,
        (partition, log): (i32, Extent),
        source: &str,
        part: Part,
        foreign: &mut u64,
    ) -> Result<HashSet<i64>> {
        let mut latest = HashMap::new();
        self.read(partition, log, |message| {
            match place(message, source) {
                Some(place) if part.holds(place.0, place.1) => {
                    if message.payload().is_some() {
                        latest.insert(place, message.offset());
                    } else {
                        latest.remove(&place);
                    }
                }
                None if part.number == 0 => *foreign += 1,
                _ => {}
            }
            Ok(true)
        })?;
        Ok(latest.into_values().collect())
    }

    /// Visits the records of a partition until `visit` returns false.
    pub(crate) fn read(
        &self,
        partition: i32,
        log: Extent,
        mut visit: impl FnMut(&BorrowedMessage<'_>) -> Result<bool>,
    ) -> Result<()> {
        if log.start >= log.end {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        let begun = list.add_partition_offset(&self.topic, partition, Offset::Offset(log.start));
        begun.and_then(|()| self.client.assign(&list)).map_err(Error::kafka("assigning a partition"))?;
        let mut heard = Instant::now();
        loop {
            match self.client.poll(POLL) {
                Some(Ok(message)) => {
                    let next = message.offset().saturating_add(1);
                    if next > log.end || !visit(&message)? || next == log.end {
                        break;
                    }
                    // Not before the visit, which may take its time.
                    heard = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if !is_out_of_contact(&error) => return Err(Error::kafka("reading")(error)),
                _ if heard.elapsed() > QUIET => {
                    let detail = format!("{} gives no records; try again", self.topic);
                    return Err(Error::Kafka { what: "reading", detail });
                }
                _ => {}
            }
        }
        self.client.unassign().map_err(Error::kafka("leaving a partition"))
    }
}

/// Where the record of a dead letter stood; `None` for what is no dead letter of `source`.
pub(super) fn place(message: &BorrowedMessage<'_>, source: &str) -> Option<(u32, i64)> {
    let name = std::str::from_utf8(message.key()?).ok()?;
    let (topic, partition, offset) = split_name(name)?;
    (topic == source).then_some((partition, offset))
}

/// A header's value; `None` when it is not there.
pub(super) fn header<'m>(message: &'m BorrowedMessage<'_>, name: &str) -> Option<&'m [u8]> {
    message.headers()?.iter().find(|header| header.key == name)?.value
}

/// A header's value as text.
pub(super) fn text(message: &BorrowedMessage<'_>, name: &str) -> String {
    header(message, name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

/// Kafka's time of the dead record; of a letter that does not say, its own.
pub(super) fn time(message: &BorrowedMessage<'_>) -> Option<TimestampMs> {
    text(message, super::TIME).parse().ok().or_else(|| message.timestamp().to_millis())
}
