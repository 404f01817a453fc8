//! Why a job could not be done, and what the caller can do about it.

use edgefeed_storage::StoreError;

use crate::center;

/// The error of every job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// As things stand the job could not come out right; the words say why and name the mend. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The center did not answer, or not rightly, for longer than `resync.patience_s`. Order the job again: it goes on
    /// behind what was done.
    #[error("{0}")]
    Center(center::Error),
    /// The breaker around the center stayed open for longer than `resync.patience_s`. Order the job again.
    #[error(
        "clickhouse: the breaker has been open for {0} s; order the job again when ClickHouse is well, it goes on behind what was done"
    )]
    BreakerOpen(u64),
    /// Kafka did not answer. Order the job again.
    #[error(transparent)]
    Kafka(#[from] crate::Error),
    /// The store refused.
    #[error("storage.dir: {0}")]
    Store(#[from] StoreError),
    /// The job was told to stop. Order it again: it goes on behind what was done.
    #[error("stopped; order the job again, it goes on behind what was done")]
    Stopped,
    /// A bug.
    #[error("{0} ended in a panic")]
    Panicked(&'static str),
}

/// The result of every job.
pub type Result<T, E = Error> = std::result::Result<T, E>;
