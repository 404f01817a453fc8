//! The admin listener: health, readiness, metrics, status, the breakers and the drain. For operators and machines, never for readers.

mod breaker;
mod config;
mod dlq;
mod guard;
mod handler;
mod metrics;
mod reload;
mod router;
mod sink;

#[cfg(test)]
mod tests;

pub use breaker::{Breakers, snapshot as breakers};
pub use config::Config;
pub(crate) use dlq::AcceptOrder;
pub use guard::Guard;
pub use metrics::{InstallError, install_metrics};
pub use router::{Parts, routes};
pub use sink::SinkDoor;
