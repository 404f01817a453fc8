//! The admin listener: health, readiness, metrics, status, the breakers and the drain. For operators and machines, never for readers.

mod breaker;
mod config;
mod guard;
mod metrics;
mod router;

#[cfg(test)]
mod tests;

pub use breaker::{Breakers, snapshot as breakers};
pub use config::Config;
pub use guard::Guard;
pub use metrics::{InstallError, install_metrics};
pub use router::routes;
