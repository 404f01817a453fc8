//! The center against the real engine: each row once, tables made once, and defects named before anything is sent.
//!
//! Needs a ClickHouse: `tests/stack/stack up DIR clickhouse`, then EDGEFEED_TEST_CLICKHOUSE=http://host:port. Each test
//! has databases of its own and drops them.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "center/errors.rs"]
mod errors;
#[path = "center/insert.rs"]
mod insert;
#[path = "center/migrate.rs"]
mod migrate;
#[path = "center/preflight.rs"]
mod preflight;
#[path = "center/server.rs"]
mod server;
#[path = "center/truncate.rs"]
mod truncate;
