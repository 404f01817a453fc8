//! Histories: what the center tells of a reader and what the node has applied itself make one whole, in time or not.
//!
//! The engine is ClickHouse's own, as `tests/stack` starts it; each test has a database of its own.
#![allow(clippy::print_stdout, reason = "what was measured is for whoever asks the harness to show it")]

mod asking;
mod cut;
mod days;
mod figures;
mod middleman;
mod own;
mod page;
mod place;
mod told;
