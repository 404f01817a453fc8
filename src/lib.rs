//! edgefeed: an edge node that ranks personalised social feeds where the readers are.
//!
//! Two paths, each readable from the tree. Written: Kafka → `sync` → `storage`. Read: [`http`] → [`feed`] →
//! `storage`'s view → [`ranking`] → a page. [`node`] starts and stops it all.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admin;
pub mod affinity;
pub mod auth;
pub mod backup;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cursor;
pub mod dead_letters;
pub mod demo;
pub mod events;
pub mod failure;
pub mod fallback;
pub mod feed;
pub mod forget;
pub mod http;
pub mod inspect;
pub mod kept;
pub mod metrics;
pub mod migrate;
pub mod node;
pub mod openapi;
pub mod probe;
pub mod problem;
pub mod ranking;
pub mod rate_limit;
pub mod resync;
pub mod secret;
pub mod status;
pub mod suggest;
pub mod trending;
pub mod tuning;
pub mod world;
