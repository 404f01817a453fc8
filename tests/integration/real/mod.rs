//! The real path, end to end: PostgreSQL, Debezium and Kafka as `tests/stack` starts them, `edgefeed serve` as a process
//! of its own, HTTP.
//!
//! The tests share one stack and nothing in it: each has its database, its connector and its topics.
#![allow(clippy::print_stdout, reason = "what was measured is for whoever asks the harness to show it")]

mod changes;
mod counts;
pub(crate) mod database;
mod deletes;
pub(crate) mod events;
mod group;
mod kafka_log;
mod kill;
pub(crate) mod node;
mod outage;
mod partitions;
pub(crate) mod place;
pub(crate) mod reader;
mod scores;
pub(crate) mod stack;
pub(crate) mod steps;
mod town;
mod whole_feeds;
