//! The engine the tests ask, and a database of it for one test.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clickhouse::sql::Identifier;
use clickhouse::{Client, RowOwned, RowRead};
use edgefeed_storage::model::IdKind;
use edgefeed_sync::center::{Center, Config};
use tokio::runtime::Runtime;

/// One database of the real engine, and a client of it that is not the one under test.
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) center: Arc<Center>,
    pub(crate) database: String,
    client: Client,
    runtime: Runtime,
}

impl Server {
    /// A database that is not there yet; `None` where there is no engine, which is said, and is a failure in CI.
    pub(crate) fn without_tables(promise: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(url) = std::env::var("EDGEFEED_TEST_CLICKHOUSE").ok().filter(|url| !url.is_empty()) else {
            unproved(promise);
            return None;
        };
        // A name that has to be quoted wherever it stands.
        let database = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let config =
            Config { url: url.clone(), database: database.clone(), query_timeout_ms: 30_000, ..Config::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let center = Center::new(&config).unwrap();
        Some(Self { center, client: Client::default().with_url(url), config, database, runtime })
    }

    /// A database with all tables.
    pub(crate) fn with_tables(promise: &str, ids: IdKind) -> Option<Self> {
        let server = Self::without_tables(promise)?;
        server.wait(server.center.migrate(ids, "", false)).unwrap();
        Some(server)
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// All rows of a query, in which `{db}` is this test's database.
    pub(crate) fn ask<T: RowOwned + RowRead>(&self, sql: &str) -> Vec<T> {
        let sql = self.named(sql);
        self.wait(self.client.query_raw(&sql).fetch_all()).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one row of a query.
    pub(crate) fn one<T: RowOwned + RowRead>(&self, sql: &str) -> T {
        let mut rows = self.ask(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows.remove(0)
    }

    /// A statement.
    pub(crate) fn run(&self, sql: &str) {
        let sql = self.named(sql);
        self.wait(self.client.query_raw(&sql).execute()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn named(&self, sql: &str) -> String {
        sql.replace("{db}", &format!("`{}`", self.database))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let drop = self.client.query("DROP DATABASE IF EXISTS ?").bind(Identifier(&self.database)).execute();
        let dropped = self.runtime.block_on(drop);
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}

fn unproved(promise: &str) {
    let why = "EDGEFEED_TEST_CLICKHOUSE is not set; `make test` starts the engine";
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "without proof: {promise}: {why}");
    println!("NOT PROVED HERE: {promise}: {why}");
    if let Some(list) = std::env::var_os("EDGEFEED_TEST_UNPROVED") {
        let mut list = std::fs::File::options().create(true).append(true).open(list).unwrap();
        writeln!(list, "{promise}: {why}").unwrap();
    }
}
