//! PostgreSQL's chronological feed, for when the store cannot answer.

mod config;

pub use config::{Config, Policy, Postgres};
