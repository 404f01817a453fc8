//! How far the center holds a partition of the log.

use std::time::Duration;

use clickhouse::Row;
use serde::Deserialize;

use super::client::{Center, within};
use super::error::Result;
use super::tables::Table;

/// The last of a partition that a table of the center holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct Latest {
    /// The highest epoch there are rows of.
    pub epoch: u32,
    /// The highest offset in it.
    pub max_offset: u64,
    /// The range that row was inserted with: both 0 when it came another way.
    pub range_first: u64,
    /// The last offset of that range, which may have no row of its own.
    pub range_last: u64,
}

/// How long a look through a whole table may take: an operator waits for it, and no request does.
const LOOK_TIMEOUT: Duration = Duration::from_secs(120);

/// What is being done, for errors.
const WHAT: &str = "asking how far a partition is held";

/// Names of tables come from a fixed list; values are bound.
const OF_PARTITION: &str = "WHERE _cluster = ? AND _topic = ? AND _partition = ?";

impl Center {
    /// Where the center's rows of one partition end; `None` when it holds none. Reads the whole table's narrow columns.
    ///
    /// # Errors
    /// When the server could not be asked; nothing is known then.
    pub async fn latest_range(
        &self,
        cluster: &str,
        topic: &str,
        partition: u32,
        table: Table,
    ) -> Result<Option<Latest>> {
        self.catch_up(table).await?;
        let sql = format!(
            "SELECT _epoch AS epoch, max(_offset) AS max_offset, \
             argMax(_range_first, (_offset, _range_last)) AS range_first, \
             argMax(_range_last, (_offset, _range_last)) AS range_last \
             FROM {} {OF_PARTITION} GROUP BY _epoch ORDER BY _epoch DESC LIMIT 1",
            table.name()
        );
        let query = self.query(&sql).bind(cluster).bind(topic).bind(partition);
        Ok(self.fetch::<Latest>(WHAT, query, LOOK_TIMEOUT).await?.into_iter().next())
    }

    /// Whether a table holds any row of a partition, of whatever epoch.
    ///
    /// # Errors
    /// When the server could not be asked; nothing is known then.
    pub async fn has_rows(&self, cluster: &str, topic: &str, partition: u32, table: Table) -> Result<bool> {
        self.catch_up(table).await?;
        let sql = format!("SELECT toUInt8(1) FROM {} {OF_PARTITION} LIMIT 1", table.name());
        let query = self.query(&sql).bind(cluster).bind(topic).bind(partition);
        Ok(!self.fetch::<u8>(WHAT, query, LOOK_TIMEOUT).await?.is_empty())
    }

    /// A replica that lags would say that less is held than is: it catches up first.
    async fn catch_up(&self, table: Table) -> Result<()> {
        if self.cluster().is_empty() {
            return Ok(());
        }
        let query = self.query(&format!("SYSTEM SYNC REPLICA {} LIGHTWEIGHT", table.name()));
        within("letting a replica catch up", LOOK_TIMEOUT, query.execute()).await
    }
}
