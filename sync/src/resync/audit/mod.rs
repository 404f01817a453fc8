//! Node, center and Kafka held against each other: what is lost, doubled, altered or out of place, where, and put right.
//!
//! - `positions`: what the center holds at each offset, against the log as far as Kafka still has it, row for row.
//! - `sums`: the views against `events`, day by day of arrival, key by key where a day differs.
//! - `rows`: this node's rows of the application's tables against the center's, by bucket, key by key where one differs.
//! - `counters`: what this node counted of events against what the center's events say, the same way.
//!
//! What is on its way looks like a difference. So a difference counts when it stays: the sink had passed it, and a second
//! look finds it unchanged. Nothing is changed by looking.

mod counters;
mod expect;
mod explained;
mod finding;
mod log;
mod mend;
mod positions;
mod rows;
mod settle;
mod sums;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_storage::model::{IdKind, TimestampMs, Topic, TopicPartition};

use super::error::{Error, Result};
use crate::center::audit::LogPlace;
use crate::center::{Center, Table};
use crate::sink::{Commit, Group};
use crate::start::Extent;

pub use finding::{Finding, Kind, Side, Verdict};
pub use mend::Mended;

/// What is held against what.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The center.
    pub center: Arc<Center>,
    /// This node's store.
    pub store: Arc<Store>,
    /// The `[kafka]` section.
    pub kafka: crate::Config,
    /// The `[sink]` section.
    pub sink: crate::sink::Config,
    /// `node.cluster`.
    pub cluster: String,
    /// How long one query may take.
    pub limit: Duration,
    /// How long is waited for the sink, or this node, to pass what the other side has.
    pub patience: Duration,
    /// Differences listed at most, a check; what is beyond is counted by the next run, after these were mended.
    pub most: usize,
}

/// How far the center and Kafka hold each partition.
#[derive(Clone, Debug)]
struct Ground {
    partitions: Vec<TopicPartition>,
    commits: BTreeMap<TopicPartition, Commit>,
    logs: BTreeMap<TopicPartition, Extent>,
}

impl Ground {
    /// Whether the log still has the record at a partition's offset; of no record, whether it has everything since the
    /// topic was made.
    fn reaches(&self, topic: Option<Topic>, at: Option<(u32, u64)>) -> bool {
        let of_topic = || self.logs.iter().filter(|(place, _)| Some(place.topic) == topic);
        match at {
            None => of_topic().all(|(_, log)| log.start == 0),
            Some((partition, offset)) => of_topic().any(|(place, log)| {
                place.partition == partition && i64::try_from(offset).is_ok_and(|at| at >= log.start)
            }),
        }
    }
}

impl Audit {
    /// Compares everything.
    ///
    /// # Errors
    /// When one of the sides could not be read; nothing is known then.
    pub async fn verify(&self, now_ms: TimestampMs) -> Result<Verdict> {
        let ground = self.ground().await?;
        let mut verdict = Verdict::new(now_ms);
        for at in &ground.partitions {
            self.positions(&ground, *at, now_ms, &mut verdict).await?;
        }
        verdict.settle_positions();
        self.sums(now_ms, &mut verdict).await?;
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Events) {
            self.rows(&ground, table, &mut verdict).await?;
        }
        self.counters(&ground, now_ms, &mut verdict).await?;
        verdict.leave_out_what_follows(self.ids());
        Ok(verdict)
    }

    fn ids(&self) -> IdKind {
        self.store.ids()
    }

    async fn ground(&self) -> Result<Ground> {
        let (kafka, sink) = (self.kafka.clone(), self.sink.clone());
        blocking(move || {
            let group = Group::connect(&kafka, &sink)?;
            let partitions = group.partitions()?;
            let (commits, logs) = (group.committed(&partitions)?, group.logs(&partitions)?);
            Ok(Ground { partitions, commits, logs })
        })
        .await
    }

    fn place(&self, at: TopicPartition, epoch: u32) -> LogPlace {
        let topic = self.kafka.topics.followed().into_iter().find(|(topic, _)| *topic == at.topic);
        LogPlace {
            cluster: self.cluster.clone(),
            epoch,
            topic: topic.map(|(_, name)| name).unwrap_or_default(),
            partition: at.partition,
        }
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Panicked("a comparison"))?
}

impl From<crate::center::Error> for Error {
    fn from(error: crate::center::Error) -> Self {
        Self::Center(error)
    }
}
