//! The center: ClickHouse as this node speaks to it. The only module that names the clickhouse crate.
//!
//! `tables` and `row` are the shape of what is sent, `settings` and `insert` how it is sent so that it lands once,
//! `codes` what an answer means for the sender.

mod client;
mod codes;
mod config;
mod error;
mod history;
mod insert;
pub mod row;
mod settings;
mod tables;

pub use client::Center;
pub use codes::{AUTH, PREFLIGHT, SCHEMA};
pub use config::Config;
pub use error::{Class, Error, Result};
pub use history::{Cut, Histories, HistoryQuery, HistoryRow, ROWS_MAX};
pub use insert::Encoded;
pub use tables::Table;
