//! `/admin/sink`: how the way to the center stands, and the order to go on.

use std::fmt;
use std::sync::Arc;

use edgefeed_sync::center::{Center, Table};
use edgefeed_sync::sink::{
    PartitionStatus, Resume, ResumeError, Resumed, Sink, SinkStatus, resume_offline, status_offline,
};
use tokio::runtime::Handle;
use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::{answer, bound, order};
use crate::config::Config;
use crate::http::Error;
use crate::http::resource::{Call, Route, Takes, resource};

type StatusFn = Arc<dyn Fn() -> edgefeed_sync::Result<SinkStatus> + Send + Sync>;
type ResumeFn = Arc<dyn Fn(&Resume) -> Result<Vec<Resumed>, ResumeError> + Send + Sync>;

/// The sink as something to be asked and ordered. Both may wait on other machines, for as long as their timeouts say.
#[derive(Clone)]
pub struct SinkDoor {
    /// How it stands.
    pub status: StatusFn,
    /// Goes on as ordered.
    pub resume: ResumeFn,
}

impl fmt::Debug for SinkDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkDoor").finish_non_exhaustive()
    }
}

impl SinkDoor {
    /// The sink of a cluster as a process that takes no part in it sees it: by what the group has committed.
    pub fn outside(config: &Config) -> Self {
        let asked = config.clone();
        let ordered = config.clone();
        Self {
            status: Arc::new(move || status_offline(&asked.kafka, &asked.sink, &asked.node.cluster)),
            resume: Arc::new(move |order| resume_outside(&ordered, order)),
        }
    }
}

impl SinkDoor {
    /// The sink as its own node sees it: the whole group, and its own share as it stands at this moment. `find` gives
    /// the share this node has at the time, where it has one.
    pub fn of(config: &Config, find: impl Fn() -> Option<Arc<Sink>> + Send + Sync + 'static) -> Self {
        let (outside, find) = (Self::outside(config), Arc::new(find));
        let (asked, ordered) = (Arc::clone(&find), find);
        let (seen, done) = (outside.status, outside.resume);
        Self {
            status: Arc::new(move || match asked() {
                Some(own) => Ok(together(own.status(), seen().ok())),
                None => seen(),
            }),
            resume: Arc::new(move |order| match ordered() {
                Some(own) => own.resume(order),
                None => done(order),
            }),
        }
    }
}

/// A node's own share over what the group says of everything. Without an answer of the brokers, the share alone.
fn together(own: SinkStatus, all: Option<SinkStatus>) -> SinkStatus {
    let Some(mut all) = all else { return own };
    for partition in own.partitions {
        let place =
            |other: &PartitionStatus| (&other.topic, other.partition) == (&partition.topic, partition.partition);
        match all.partitions.iter_mut().find(|other| place(other)) {
            Some(known) => {
                // What a share has not begun, the group still knows.
                *known = PartitionStatus {
                    committed: partition.committed.or(known.committed),
                    pending_through: partition.pending_through.or(known.pending_through),
                    epoch: partition.epoch.or(known.epoch),
                    lag_records: partition.lag_records.or(known.lag_records),
                    log_start: known.log_start,
                    log_end: known.log_end,
                    ..partition
                };
            }
            None => all.partitions.push(partition),
        }
    }
    all
}

/// Asks the center what it holds, and commits for the group. Called on a thread of the runtime's that may wait.
fn resume_outside(config: &Config, order: &Resume) -> Result<Vec<Resumed>, ResumeError> {
    let center = Center::new(&config.clickhouse).map_err(|error| ResumeError::Failed(error.to_string()))?;
    let runtime = Handle::current();
    resume_offline(&config.kafka, &config.sink, order, |topic, name, partition| {
        let Some(table) = Table::of(topic) else { return Ok(None) };
        let asked = center.latest_range(&config.node.cluster, name, partition, table);
        runtime.block_on(asked).map_err(|error| error.to_string())
    })
}

/// The routes of this resource.
pub(super) fn routes(guard: &Arc<Guard>, sink: &Arc<SinkDoor>) -> [Route; 2] {
    [
        resource(path!("admin" / "sink"), "/admin/sink", Takes::Get, bound(guard, sink, status)),
        resource(path!("admin" / "sink" / "resume"), "/admin/sink/resume", Takes::Post, bound(guard, sink, resume)),
    ]
}

async fn status(guard: Arc<Guard>, sink: Arc<SinkDoor>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    answer(move || (sink.status)().map_err(|error| Error::Dependency(error.to_string()))).await
}

async fn resume(guard: Arc<Guard>, sink: Arc<SinkDoor>, call: Call) -> Result<Response, Error> {
    guard.change(&call.headers)?;
    let order: Resume = order(call).await?;
    order.check().map_err(Error::BadParameter)?;
    tracing::warn!(?order, "an operator orders the sink to go on");
    answer(move || (sink.resume)(&order)).await
}

impl From<ResumeError> for Error {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Order(message) => Self::Conflict(message),
            ResumeError::Failed(message) => Self::Dependency(message),
        }
    }
}
