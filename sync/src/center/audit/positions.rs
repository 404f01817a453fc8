//! The center's rows by where they stood in the log.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind, RowKey, Version};

use super::lists::{Events, RowKeys};
use super::{Center, content};
use crate::center::error::Result;
use crate::center::tables::Table;

/// A partition of a log as the center's rows name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPlace {
    /// `node.cluster`.
    pub cluster: String,
    /// How often the topic was begun anew.
    pub epoch: u32,
    /// Kafka's name of the topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
}

/// One row, where it stood and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clickhouse::Row, serde::Deserialize)]
pub(crate) struct HeldAt {
    pub(crate) offset: u64,
    pub(crate) content: u64,
    /// 0 for events.
    pub(crate) version: u64,
}

const PLACE: &str = "_cluster = ? AND _epoch = ? AND _topic = ? AND _partition = ?";
/// What is being done, for errors.
const WHAT: &str = "comparing with the log";
/// Doubled rows listed at most, a partition and a table.
const DOUBLED_MAX: u32 = 100_000;

impl Center {
    /// Every row of some offsets of a partition, as they lie: superseded ones that are not merged away included.
    pub(crate) async fn held_at(
        &self,
        table: Table,
        place: &LogPlace,
        offsets: Range<i64>,
        limit: Duration,
    ) -> Result<Vec<HeldAt>> {
        let version = if table == Table::Events { "toUInt64(0)" } else { "_version" };
        let sql = format!(
            "SELECT _offset AS offset, {} AS content, {version} AS version FROM {} WHERE {PLACE} \
             AND _offset >= ? AND _offset < ?",
            content::sql(table),
            table.name()
        );
        let query = self.of_place(&sql, place, limit).bind(unsigned(offsets.start)).bind(unsigned(offsets.end));
        self.fetch(WHAT, query, limit).await
    }

    /// Offsets that more than one row bears, and how many do.
    pub(crate) async fn doubled(&self, table: Table, place: &LogPlace, limit: Duration) -> Result<Vec<(u64, u64)>> {
        let sql = format!(
            "SELECT _offset, count() AS copies FROM {} WHERE {PLACE} GROUP BY _offset HAVING copies > 1 \
             ORDER BY _offset LIMIT {DOUBLED_MAX}",
            table.name()
        );
        let query = self.of_place(&sql, place, limit);
        self.fetch(WHAT, query, limit).await
    }

    /// How many offsets of a partition below `end` bear rows, the lowest and the highest of them; zeros where none does.
    pub(crate) async fn extent_of(
        &self,
        table: Table,
        place: &LogPlace,
        end: i64,
        limit: Duration,
    ) -> Result<(u64, u64, u64)> {
        let sql = format!(
            "SELECT uniqExact(_offset), min(_offset), max(_offset) FROM {} WHERE {PLACE} AND _offset < ?",
            table.name()
        );
        let query = self.of_place(&sql, place, limit).bind(unsigned(end));
        Ok(self.fetch(WHAT, query, limit).await?.into_iter().next().unwrap_or_default())
    }

    /// Which of some events the center holds, wherever they stood.
    pub(crate) async fn known_events(
        &self,
        ids: IdKind,
        events: &[(Id, u128)],
        limit: Duration,
    ) -> Result<HashSet<u128>> {
        let sql = "SELECT DISTINCT toString(event_id) FROM events WHERE (user_id, event_id) IN ?";
        let query = self.audited(sql, limit).bind(Events(ids, events));
        let known: Vec<String> = self.fetch(WHAT, query, limit).await?;
        Ok(known.iter().filter_map(|id| uuid::Uuid::parse_str(id).ok()).map(|id| id.as_u128()).collect())
    }

    /// The highest version the center holds of some rows, without the epoch; rows it never heard of are left out.
    pub(crate) async fn known_versions(
        &self,
        table: Table,
        ids: IdKind,
        keys: &[RowKey],
        limit: Duration,
    ) -> Result<HashMap<RowKey, u64>> {
        let columns = key_columns(table);
        let texts: Vec<String> = columns.iter().map(|column| format!("toString({column})")).collect();
        let sql = format!(
            "SELECT [{}] AS key, max(bitAnd(_version, {})) AS version FROM {} WHERE ({}) IN ? GROUP BY key",
            texts.join(", "),
            Version::MAX_VALUE,
            table.name(),
            columns.join(", ")
        );
        let query = self.audited(&sql, limit).bind(RowKeys(ids, keys));
        let known: Vec<(Vec<String>, u64)> = self.fetch(WHAT, query, limit).await?;
        Ok(known.into_iter().filter_map(|(key, version)| Some((row_key(table, ids, &key)?, version))).collect())
    }

    fn of_place(&self, sql: &str, place: &LogPlace, limit: Duration) -> clickhouse::query::Query {
        let query = self.audited(sql, limit).bind(&place.cluster).bind(place.epoch);
        query.bind(&place.topic).bind(place.partition)
    }
}

/// The columns of a table's primary key.
pub(super) const fn key_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Events => &["user_id", "event_id"],
        Table::Posts | Table::Comments => &["id"],
        Table::Follows => &["follower_id", "following_id"],
        Table::Likes => &["user_id", "post_id"],
        Table::Blocks => &["blocker_id", "blocked_id"],
    }
}

/// A primary key from its texts.
pub(super) fn row_key(table: Table, ids: IdKind, texts: &[String]) -> Option<RowKey> {
    let id = |at: usize| ids.parse(texts.get(at)?);
    Some(match table {
        Table::Events => return None,
        Table::Posts => RowKey::Post(id(0)?),
        Table::Comments => RowKey::Comment(id(0)?),
        Table::Follows => RowKey::Follow(id(0)?, id(1)?),
        Table::Likes => RowKey::Like(id(0)?, id(1)?),
        Table::Blocks => RowKey::Block(id(0)?, id(1)?),
    })
}

fn unsigned(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
