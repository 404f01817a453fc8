//! Batch jobs against the center: a node is built from it, and what a node counted itself is renewed from it.
//!
//! `places` finds where the log is cut: at what the sink's group has committed, for below it the center holds everything.
//! `bootstrap` then reads the center up to there, into the next epoch of the store, and Kafka does the rest. `plan` decides
//! at a start what a node needs; it is pure.

mod bootstrap;
mod closed;
mod config;
mod error;
mod fill;
mod note;
mod pace;
mod places;
pub mod plan;
mod refresh;
mod report;
mod retention;

pub use bootstrap::{Bootstrap, Order, Outcome};
pub use closed::{Own, closed_day};
pub use config::{Config, Refresh};
pub use error::{Error, Result};
pub use refresh::{Refreshed, Refresher, Whose};
pub use report::{Progress, Report};
