//! The center: ClickHouse as this node speaks to it. The only module that names the clickhouse crate.
//!
//! `tables` and `row` are the shape of what is sent, `settings` and `insert` how it is sent so that it lands once,
//! `codes` what an answer means for the sender. `migrate` makes the tables, from the files of `sql/clickhouse/schema`, and
//! `preflight` refuses those that would not do.

mod client;
mod codes;
mod config;
mod error;
mod facts;
mod forget;
mod history;
mod insert;
mod latest;
mod migrate;
mod preflight;
pub mod row;
mod schema;
mod settings;
mod shape;
mod tables;
mod truncate;
mod walk;

pub use client::Center;
pub use codes::{AUTH, PREFLIGHT, SCHEMA, known_codes};
pub use config::Config;
pub use error::{Class, Error, Result};
pub use forget::RowsOf;
pub use history::{Cut, Histories, HistoryQuery, HistoryRow, ROWS_MAX};
pub use insert::Encoded;
pub use latest::Latest;
pub use migrate::{Migrated, State, Step};
pub use preflight::Complaint;
pub use tables::Table;
pub(crate) use walk::Fields;
pub use walk::{Bounds, Rows, Shard, Shards, Walk};
