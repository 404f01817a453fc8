//! What Kafka's logs of the followed topics hold, asked of the brokers alone: for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use edgefeed_storage::model::TopicPartition;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use crate::brokers::found_partitions;
use crate::client;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::Names;

/// How far one partition's log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogExtent {
    /// The first offset kept.
    pub start: i64,
    /// The one after the last that can be read.
    pub end: i64,
}

/// What the brokers say of the followed topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// Every partition whose log has a leader.
    pub extents: BTreeMap<TopicPartition, LogExtent>,
    /// Topics that are not there, by Kafka's name, with the reason.
    pub missing: Vec<(String, String)>,
}

/// Asks the brokers. Blocks for a few times `kafka.request_timeout_ms` at most.
///
/// Errors: [`Error::Config`], [`Error::Kafka`] when no broker answers.
pub fn logs(config: &Config) -> Result<Logs> {
    let client = client::outsider(config, &format!("{}-materializer", config.client_id))?;
    let names = Names::new(config.topics.followed());
    let timeout = Duration::from_millis(config.request_timeout_ms);
    let (mut logs, mut partitions) = (Logs::default(), Vec::new());
    for (topic, name) in names.all() {
        let metadata = client.fetch_metadata(Some(name), timeout).map_err(Error::kafka("asking for partitions"))?;
        match found_partitions(&metadata, name) {
            Ok(count) => partitions.extend((0..count).map(|partition| TopicPartition { topic: *topic, partition })),
            Err(detail) => logs.missing.push((name.clone(), detail)),
        }
    }
    if partitions.is_empty() {
        return Ok(logs);
    }
    let asked = |which| -> Result<BTreeMap<TopicPartition, i64>> {
        let list = names.list(partitions.iter().map(|at| (*at, which)))?;
        let answer = client.offsets_for_times(list, timeout).map_err(Error::kafka("asking how far logs go"))?;
        Ok(names.offsets(&answer).into_iter().collect())
    };
    let (starts, ends) = (asked(Offset::Beginning)?, asked(Offset::End)?);
    let both = starts.into_iter().filter_map(|(at, start)| Some((at, LogExtent { start, end: *ends.get(&at)? })));
    logs.extents = both.collect();
    Ok(logs)
}
