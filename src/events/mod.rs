//! Events in: read and filled in (`check`, `record`), sent to Kafka or spooled (`intake`, `spooler`), sent from the spool
//! when Kafka is back (`flush`), and how a reader learns that an event has been applied (`position`).
//!
//! What is answered 202 is in Kafka or on this node's disk. The spool is an overlay of the store: readers of this node
//! see a spooled event at once, and nothing counts it but its record, when that comes back from Kafka.

mod check;
mod config;
mod flush;
mod intake;
mod measure;
mod position;
mod record;
mod spooler;

pub use check::Rejected;
pub use config::Config;
pub use intake::{Answer, Intake, PostError};
pub use measure::describe as describe_metrics;
pub use position::{BadPosition, Positions};

/// The most events of one request.
pub const EVENTS_MAX: usize = 100;
