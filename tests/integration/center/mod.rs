//! The center: ClickHouse is kept exactly right through crashes, rebalances, resets and zombies. Proved from the contract
//! alone: the real binary, a real Kafka, the real ClickHouse engine, and a fold of the log that knows nothing of edgefeed.
#![allow(clippy::print_stdout, reason = "what was done is for whoever asks the harness to show it")]

mod breaker;
mod catch_up;
pub(crate) mod clickhouse;
mod clusters;
pub(crate) mod compare;
pub(crate) mod control;
mod end_to_end;
mod exactly_once;
mod faults;
pub(crate) mod fold;
mod forget;
mod goodbye;
mod hand_made;
pub(crate) mod kafka;
mod load;
pub(crate) mod log;
pub(crate) mod node;
mod outage;
pub(crate) mod parts;
pub(crate) mod proxy;
mod sleeper;
pub(crate) mod stage;
mod stall;
mod token;
pub(crate) mod writer;
