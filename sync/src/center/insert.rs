//! One insert: the rows of one range of one partition, under a token that names them for good.

use std::time::Duration;

use bytes::Bytes;
use clickhouse::insert_formatted::CompressedData;
use tokio::time::Instant;

use super::client::Center;
use super::error::{Error, Result};
use super::settings;
use super::tables::Table;

/// What is being done, for errors.
const WHAT: &str = "an insert";

/// Sealed rows of one table ([`super::row`]), ready to be sent as often as it takes. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Encoded {
    body: Bytes,
}

impl Encoded {
    /// Takes whole rows, each encoded and sealed.
    pub fn new(rows: Vec<u8>) -> Self {
        Self { body: rows.into() }
    }

    /// Bytes before compression.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is nothing to insert.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

impl Center {
    /// Inserts the rows of a range. Done when they and all the views' rows are written, for a cluster to a majority of
    /// its replicas; a range without rows inserts nothing.
    ///
    /// The same rows under the same token may be sent any number of times, at once or one after the other, whatever
    /// the answers were: they land once. Other rows under a token that was ever used may be lost.
    ///
    /// # Errors
    /// After an error of class `Transient` the rows may have landed, wholly or in part: send the same again. Takes no
    /// longer than `clickhouse.insert_timeout_ms`, everything included.
    pub async fn insert(&self, table: Table, rows: &Encoded, token: &str) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.send(statement(table.name(), table), rows, token).await
    }

    /// Inserts rows of a table into another one of the same columns, without a name for what is sent: sent again, they
    /// stand there twice.
    pub(super) async fn insert_as(&self, name: &str, table: Table, rows: &Encoded) -> Result<()> {
        self.send(statement(name, table), rows, &uuid::Uuid::new_v4().to_string()).await
    }

    async fn send(&self, statement: String, rows: &Encoded, token: &str) -> Result<()> {
        let deadline = Instant::now() + self.insert_timeout();
        let packed = pack(rows.body.clone()).await?;
        let mut insert = self.client().insert_formatted_with(statement);
        for (name, value) in settings::insert(self.cluster(), self.insert_timeout()) {
            insert = insert.with_setting(name, value);
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        // The library's own deadline ends the request that it runs in a task of its own; dropping this future from
        // outside would only let go of it. All rows are one piece, so that the one wait is the one for the answer.
        let mut insert = insert.with_setting("insert_deduplication_token", token).with_timeouts(Some(left), Some(left));
        insert.send_compressed(packed).await.map_err(self.insert_error())?;
        insert.end().await.map_err(self.insert_error())
    }

    fn insert_error(&self) -> impl Fn(clickhouse::error::Error) -> Error {
        let after_ms = self.insert_timeout().as_millis();
        move |error| match error {
            clickhouse::error::Error::TimedOut => Error::TimedOut { what: WHAT, after_ms },
            other => Error::of(WHAT)(other),
        }
    }
}

fn statement(name: &str, table: Table) -> String {
    // Names from a fixed list, every one a plain word.
    format!("INSERT INTO {name} ({}) FORMAT RowBinary", table.columns().join(", "))
}

/// Compresses, the same bytes every time, off the threads that answer readers: 16 MiB take tens of milliseconds.
async fn pack(rows: Bytes) -> Result<CompressedData> {
    let packed = tokio::task::spawn_blocking(move || CompressedData::from(rows)).await;
    packed.map_err(|_| Error::Network { what: WHAT, detail: "the rows could not be compressed".to_owned() })
}
