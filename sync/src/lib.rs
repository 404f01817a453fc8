//! How data reaches an edgefeed node and leaves it: Kafka in, ClickHouse out, and the embedded broker of the demo.
//!
//! The way in is readable in three files: `consumer` polls and decodes, `materialize` gathers batches for the store's
//! one door, `watcher` finds partitions and asks how far their logs go. Offsets live in the store, with the data
//! they belong to; Kafka is never told.
//!
//! The way out is `sink`: one owner per partition across all nodes writes the `center`, ClickHouse, each row once.
//!
//! This is the only crate that names rdkafka and clickhouse.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod breaker;
mod brokers;
pub mod center;
mod client;
pub mod config;
mod consumer;
pub mod dead_letters;
pub mod decode;
mod embedded;
mod error;
mod gap;
mod lag;
pub mod logs;
mod mailbox;
mod materialize;
mod measure;
mod names;
mod producer;
pub mod resync;
pub mod sink;
mod start;
mod statistics;
mod threads;
mod watcher;

use std::sync::Arc;

use edgefeed_storage::model::TimestampMs;

pub use config::Config;
pub use embedded::EmbeddedBroker;
pub use error::{Error, Result};
pub use lag::{Barrier, Lag};
pub use materialize::Materializer;
pub use measure::describe_metrics;
pub use producer::{Delivered, EventsProducer, Fate, Producer};
pub use start::{Gap, GapReason};

/// Tells the time: UTC milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> TimestampMs + Send + Sync>;
