//! Makes the tables of PostgreSQL; those of ClickHouse are made by `edgefeed_sync::center`.

pub mod postgres;
