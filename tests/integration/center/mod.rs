//! The center: ClickHouse is kept exactly right through crashes, rebalances, resets and zombies. Proved from the contract
//! alone: the real binary, a real Kafka, the real ClickHouse engine, and a fold of the log that knows nothing of edgefeed.
#![allow(clippy::print_stdout, reason = "what was done is for whoever asks the harness to show it")]

mod breaker;
mod catch_up;
mod clickhouse;
mod clusters;
mod compare;
mod control;
mod end_to_end;
mod exactly_once;
mod faults;
mod fold;
mod forget;
mod goodbye;
mod hand_made;
mod kafka;
mod load;
mod log;
mod node;
mod outage;
mod parts;
mod proxy;
mod sleeper;
mod stage;
mod stall;
mod token;
mod writer;
