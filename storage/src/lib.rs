//! What an edgefeed node keeps.
//!
//! A synchronous library over RocksDB with one door in ([`Store::apply`]) and one door for readers ([`Store::view`]).
//! It returns facts (posts, follows, counts, what a reader has seen) and never an opinion: scoring lives elsewhere.
//!
//! It is not a general store: the key space is fixed (see [`key`]), there is one writer, and history outside the
//! windows that ranking reads is dropped.

pub mod config;
pub mod model;
pub mod position;

pub use config::Config;
pub use position::{Applied, Position, Stall, StallReason};
