//! The connection to the center: cheap to make, bounded in time in everything it does.

use std::sync::Arc;
use std::time::Duration;

use clickhouse::query::Query;
use clickhouse::{Client, RowOwned, RowRead};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::config::Config;
use super::error::{Error, Result};

/// How long a sign of life is waited for.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// ClickHouse as one node speaks to it. Connections are made when something is asked, and kept for a short while.
#[derive(Debug)]
pub struct Center {
    client: Client,
    /// The same without a database, for before there is one.
    anywhere: Client,
    database: String,
    cluster: String,
    insert_timeout: Duration,
    query_timeout: Duration,
}

impl Center {
    /// Takes the settings; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no center, or when the settings cannot stand.
    pub fn new(config: &Config) -> Result<Arc<Self>> {
        if !config.is_set() {
            return Err(Error::Config("clickhouse.url: is not set; say where ClickHouse answers HTTP".to_owned()));
        }
        if let Some(problem) = config.check().into_iter().next() {
            return Err(Error::Config(problem));
        }
        let anywhere = Client::default()
            .with_url(&config.url)
            .with_user(&config.user)
            .with_password(config.password.expose_secret())
            .with_product_info("edgefeed", env!("CARGO_PKG_VERSION"));
        Ok(Arc::new(Self {
            client: anywhere.clone().with_database(&config.database),
            anywhere,
            database: config.database.clone(),
            cluster: config.cluster.clone(),
            insert_timeout: Duration::from_millis(config.insert_timeout_ms),
            query_timeout: Duration::from_millis(config.query_timeout_ms),
        }))
    }

    /// The database that holds the tables.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How long one query of a background job may take.
    pub fn query_timeout(&self) -> Duration {
        self.query_timeout
    }

    /// Whether ClickHouse answers queries of this user.
    ///
    /// # Errors
    /// Why it does not; after two seconds at the latest.
    pub async fn ping(&self) -> Result<()> {
        let limit = self.query_timeout.min(PING_TIMEOUT);
        self.fetch::<u8>("a sign of life", self.query("SELECT 1"), limit).await.map(drop)
    }

    /// A query in the center's database; values go in by `bind`, never by `format!`.
    pub(crate) fn query(&self, sql: &str) -> Query {
        self.client.query(sql)
    }

    /// All rows of an answer, within `limit`. The query bounds how many there are.
    pub(crate) async fn fetch<T>(&self, what: &'static str, query: Query, limit: Duration) -> Result<Vec<T>>
    where
        T: RowOwned + RowRead,
    {
        within(what, limit, query.fetch_all::<T>()).await
    }

    /// A query that names its database, which need not be there.
    pub(super) fn anywhere(&self, sql: &str) -> Query {
        self.anywhere.query(sql)
    }

    /// A statement sent as it is.
    pub(super) fn raw(&self, sql: &str) -> Query {
        self.anywhere.query_raw(sql)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(super) fn insert_timeout(&self) -> Duration {
        self.insert_timeout
    }
}

/// Waits for an answer no longer than `limit`; the connection of an answer given up is closed.
pub(super) async fn within<T>(
    what: &'static str,
    limit: Duration,
    answer: impl Future<Output = clickhouse::error::Result<T>>,
) -> Result<T> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Error::of(what)),
        Err(_) => Err(Error::TimedOut { what, after_ms: limit.as_millis() }),
    }
}
