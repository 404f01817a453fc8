//! The center: ClickHouse as this node speaks to it. The only module that names the clickhouse crate.

mod config;

pub use config::Config;
