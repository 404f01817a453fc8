//! Questions to the brokers, each with a timeout: which partitions a topic has, where their logs start and end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::TopicPartition;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::Offset;

use crate::Clock;
use crate::client::{Client, is_out_of_contact};
use crate::error::{Error, Result};
use crate::lag::Lag;
use crate::names::Names;
use crate::start::Extent;

/// Why an answer is not there: no broker is in reach and asking on is no use for now, or something is wrong for good.
pub(crate) enum Failed {
    OutOfContact(String),
    ForGood(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::ForGood(error)
    }
}

impl Failed {
    fn of(error: KafkaError) -> Result<String, Self> {
        if is_out_of_contact(&error) { Err(Self::OutOfContact(error.to_string())) } else { Ok(error.to_string()) }
    }
}

/// The brokers, as something to be asked. Every answer counts as contact.
pub(crate) struct Brokers {
    pub(crate) client: Arc<Client>,
    pub(crate) names: Names,
    pub(crate) clock: Clock,
    pub(crate) lag: Arc<Lag>,
    pub(crate) timeout: Duration,
}

impl Brokers {
    /// How many partitions a topic has, or why it has none.
    pub(crate) fn partitions(&self, kafka_name: &str) -> Result<Result<u32, String>, Failed> {
        match self.client.fetch_metadata(Some(kafka_name), self.timeout) {
            Ok(metadata) => {
                self.lag.contact((self.clock)());
                Ok(found_partitions(&metadata, kafka_name))
            }
            Err(error) => Failed::of(error).map(Err),
        }
    }

    /// The extents of some partitions' logs; those without a leader are left out.
    pub(crate) fn extents(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Extent>, Failed> {
        let starts = self.offsets(partitions, Offset::Beginning)?;
        let ends: BTreeMap<_, _> = self.offsets(partitions, Offset::End)?.into_iter().collect();
        let both = starts.into_iter().filter_map(|(at, start)| Some((at, Extent { start, end: *ends.get(&at)? })));
        Ok(both.collect())
    }

    /// The ends of some partitions' logs; those without a leader are left out.
    pub(crate) fn ends(&self, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, i64)>, Failed> {
        self.offsets(partitions, Offset::End)
    }

    /// Asks for the first or the last offsets of some partitions, in one request a broker.
    ///
    /// The library passes the logical offset on as the "timestamp" that the protocol gives these two, and asks for
    /// what readers of committed records may see.
    fn offsets(&self, partitions: &[TopicPartition], which: Offset) -> Result<Vec<(TopicPartition, i64)>, Failed> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.names.list(partitions.iter().map(|at| (*at, which)))?;
        match self.client.offsets_for_times(list, self.timeout) {
            Ok(answer) => {
                self.lag.contact((self.clock)());
                Ok(self.names.offsets(&answer))
            }
            Err(error) => {
                tracing::debug!("asking for offsets: {}", Failed::of(error)?);
                Ok(Vec::new())
            }
        }
    }
}

/// How many partitions an answer shows of a topic, or why it shows none.
pub(crate) fn found_partitions(metadata: &Metadata, name: &str) -> Result<u32, String> {
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Err("not in the answer".to_owned());
    };
    if let Some(error) = topic.error() {
        return Err(RDKafkaErrorCode::from(error).to_string());
    }
    match u32::try_from(topic.partitions().len()) {
        Ok(0) | Err(_) => Err("it has no partitions".to_owned()),
        Ok(partitions) => Ok(partitions),
    }
}
