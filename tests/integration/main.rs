//! What edgefeed promises, a file a promise, against real parts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bounds;
mod center;
mod compare;
mod crash;
mod demo;
mod discover;
mod dlq;
mod document;
mod fallback;
mod formula;
mod history;
mod log;
mod migrate;
mod offsets;
mod oracle;
mod oracle_tests;
mod poison;
mod real;
mod replay;
mod spine;
