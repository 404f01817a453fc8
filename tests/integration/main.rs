//! What edgefeed promises, a file a promise, against real parts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod backup;
mod bounds;
mod center;
mod chains;
mod compare;
mod crash;
mod demo;
mod deploy;
mod discover;
mod dlq;
mod document;
mod door;
mod events;
mod explain;
mod fallback;
mod formula;
mod history;
mod log;
mod metrics;
mod migrate;
mod offsets;
mod oracle;
mod oracle_tests;
mod poison;
mod probe;
mod real;
mod rebuild;
mod replay;
mod spine;
mod start;
