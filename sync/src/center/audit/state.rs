//! The latest rows of the application's tables as the center has them, comparable with a node's: by bucket first, row by
//! row where a bucket differs.

use std::time::Duration;

use edgefeed_storage::model::{IdKind, RowKey};
use xxhash_rust::xxh64::xxh64;

use super::Center;
use super::lists::ids_of;
use super::positions::{key_columns, row_key};
use crate::center::error::Result;
use crate::center::tables::Table;

/// How many buckets a table is divided into.
pub(crate) const BUCKETS: u32 = 1024;

/// A bucket: how many live rows, and the exclusive or of their marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Live rows.
    pub rows: u64,
    /// The exclusive or of their marks.
    pub mark: u64,
}

impl Bucket {
    /// Takes a row in.
    pub(crate) fn add(&mut self, mark: u64) {
        self.rows += 1;
        self.mark ^= mark;
    }
}

/// A live row, as far as nodes know one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateRow {
    /// Its primary key.
    pub key: RowKey,
    /// Its version, the epoch included.
    pub version: u64,
    /// Of a post: author, creation time in milliseconds, 1 where it is softly deleted. Of a comment: its post, and from the
    /// center its author, which older nodes did not keep. Of others nothing: the key says all.
    pub fields: Vec<String>,
    /// Of a row of the center: partition and offset of its record.
    pub at: Option<(u32, u64)>,
}

impl StateRow {
    /// Whether both say the same, as far as both say anything.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        (self.key, self.version) == (other.key, other.version)
            && self.fields.iter().zip(&other.fields).all(|(here, there)| here == there)
    }
}

/// The bucket of a row.
pub(crate) fn bucket_of(ids: IdKind, key: RowKey) -> u32 {
    let (first, _) = ids_of(key);
    u32::try_from(xxh64(ids.format(first).as_bytes(), 0) % u64::from(BUCKETS)).unwrap_or(0)
}

/// What a row says, as one number.
pub(crate) fn mark_of(ids: IdKind, row: &StateRow) -> u64 {
    let (first, second) = ids_of(row.key);
    let mut text = ids.format(first);
    if let Some(second) = second {
        text.push('|');
        text.push_str(&ids.format(second));
    }
    text.push_str(&format!("|{}", row.version));
    for field in &row.fields {
        text.push('|');
        text.push_str(field);
    }
    xxh64(text.as_bytes(), 0)
}

/// What is being done, for errors.
const WHAT: &str = "comparing rows with the node's";

fn bucket_sql(table: Table) -> String {
    format!("toUInt32(xxHash64(toString({})) % {BUCKETS})", key_columns(table)[0])
}

/// What rows are compared by beside key and version.
const fn fields(table: Table) -> &'static [&'static str] {
    match table {
        Table::Posts => &[
            "toString(user_id)",
            "toString(toUnixTimestamp64Milli(created_at))",
            "toString(toUInt8(isNotNull(deleted_at)))",
        ],
        Table::Comments => &["toString(post_id)"],
        Table::Events | Table::Follows | Table::Likes | Table::Blocks => &[],
    }
}

fn key_texts(table: Table) -> Vec<String> {
    key_columns(table).iter().map(|column| format!("toString({column})")).collect()
}

#[derive(clickhouse::Row, serde::Deserialize)]
struct Line {
    key: Vec<String>,
    version: u64,
    fields: Vec<String>,
    at: (u32, u64),
}

impl Center {
    /// Every bucket of a table that has a live row.
    pub(crate) async fn buckets(&self, table: Table, limit: Duration) -> Result<Vec<(u32, Bucket)>> {
        let mut parts = key_texts(table);
        parts.push("toString(_version)".to_owned());
        parts.extend(fields(table).iter().map(|field| (*field).to_owned()));
        let sql = format!(
            "SELECT {} AS bucket, count(), groupBitXor(xxHash64(concatWithSeparator('|', {}))) FROM {} FINAL \
             GROUP BY bucket",
            bucket_sql(table),
            parts.join(", "),
            table.name()
        );
        let rows: Vec<(u32, u64, u64)> = self.fetch(WHAT, self.audited(&sql, limit), limit).await?;
        Ok(rows.into_iter().map(|(bucket, rows, mark)| (bucket, Bucket { rows, mark })).collect())
    }

    /// The live rows of some buckets.
    pub(crate) async fn state_rows(
        &self,
        table: Table,
        ids: IdKind,
        buckets: &[u32],
        limit: Duration,
    ) -> Result<Vec<StateRow>> {
        let mut told = fields(table).to_vec();
        if table == Table::Comments {
            told.push("toString(user_id)");
        }
        let sql = format!(
            "SELECT [{}] AS key, _version AS version, CAST([{}], 'Array(String)') AS fields, (_partition, _offset) AS at FROM {} FINAL WHERE {} IN ?",
            key_texts(table).join(", "),
            told.join(", "),
            table.name(),
            bucket_sql(table)
        );
        let query = self.audited(&sql, limit).bind(buckets);
        let rows: Vec<Line> = self.fetch(WHAT, query, limit).await?;
        let row = |Line { key, version, fields, at }| {
            Some(StateRow { key: row_key(table, ids, &key)?, version, fields, at: Some(at) })
        };
        Ok(rows.into_iter().filter_map(row).collect())
    }
}
