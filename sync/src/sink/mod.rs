//! The way out: one owner per partition across all nodes writes the center, each row once.

mod commit;
mod config;
mod offline;
mod plan;
mod status;

pub use commit::{Commit, Mark};
pub use config::Config;
pub use offline::{resume_offline, status_offline};
pub use plan::Plan;
pub use status::{From, PartitionStatus, Resume, ResumeError, Resumed, SinkStatus, Stalled};
