//! The admin listener: health, readiness, metrics, status, the breakers and the drain. For operators and machines, never for readers.

mod breaker;
mod checkpoint;
mod config;
mod dlq;
mod explain;
mod forget;
mod guard;
mod handler;
mod inspect;
mod metrics;
mod reload;
mod replay;
mod resync;
mod router;
mod sink;

#[cfg(test)]
mod tests;

pub use breaker::{Breakers, snapshot as breakers};
pub(crate) use checkpoint::Begun;
pub use config::Config;
pub(crate) use dlq::AcceptOrder;
pub use explain::FeedDoor;
pub use guard::Guard;
pub use metrics::{InstallError, install_metrics};
pub(crate) use replay::ReplayOrder;
pub use resync::ResyncDoor;
pub use router::{Parts, routes};
pub use sink::SinkDoor;
