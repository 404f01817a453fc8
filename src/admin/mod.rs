//! The admin listener: health, readiness, metrics, status and the drain. For operators and machines, never for readers.

mod config;
mod guard;
mod metrics;
mod router;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use guard::Guard;
pub use metrics::{InstallError, install_metrics};
pub use router::routes;
