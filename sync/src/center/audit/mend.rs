//! How the center is mended: rows put in their places without feeding the views again, views' rows replaced.
//!
//! Everything here may be sent again after an error: what was done is found done.

use std::time::Duration;

use super::Center;
use super::positions::LogPlace;
use super::sums::{Sum, View};
use crate::center::client::within;
use crate::center::error::Result;
use crate::center::insert::Encoded;
use crate::center::schema::id_type;
use crate::center::tables::Table;
use edgefeed_storage::model::IdKind;

/// Where mended events wait until they are attached. Made and dropped by every mend.
const STAGING: &str = "events_mend";

impl Center {
    /// Takes the rows of some offsets of a partition away.
    pub(crate) async fn remove_at(
        &self,
        table: Table,
        place: &LogPlace,
        offsets: &[i64],
        limit: Duration,
    ) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {} WHERE _cluster = ? AND _epoch = ? AND _topic = ? AND _partition = ? AND _offset IN ?",
            table.name()
        );
        let query = self.mending(&sql, limit).bind(&place.cluster).bind(place.epoch);
        let query = query.bind(&place.topic).bind(place.partition).bind(offsets);
        within("taking wrong rows away", limit, query.execute()).await
    }

    /// Puts encoded rows into a table. Rows of `events` do not pass through the views: they are written beside the table
    /// and attached.
    pub(crate) async fn put_rows(&self, table: Table, rows: Vec<u8>, limit: Duration) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = Encoded::new(rows);
        if table != Table::Events {
            return self.insert_as(table.name(), table, &rows).await;
        }
        self.order(&format!("DROP TABLE IF EXISTS {STAGING}"), limit).await?;
        self.order(&format!("CREATE TABLE {STAGING} AS {}", table.name()), limit).await?;
        self.insert_as(STAGING, table, &rows).await?;
        let sql = "SELECT DISTINCT partition_id FROM system.parts WHERE database = ? AND table = ? AND active";
        let query = self.audited(sql, limit).bind(self.database()).bind(STAGING);
        let partitions: Vec<String> = self.fetch("asking for what was put aside", query, limit).await?;
        for partition in partitions {
            // A partition's id is made of digits.
            let partition: String = partition.chars().filter(char::is_ascii_alphanumeric).collect();
            let sql = format!("ALTER TABLE {} ATTACH PARTITION ID '{partition}' FROM {STAGING}", table.name());
            self.order(&sql, limit).await?;
        }
        self.order(&format!("DROP TABLE IF EXISTS {STAGING}"), limit).await
    }

    /// Makes rows of a view what they should be. Where nothing is too much, what is missing is added, which commutes with
    /// whatever the sink adds meanwhile; otherwise the row is taken away and put anew.
    pub(crate) async fn put_sums(&self, view: View, ids: IdKind, sums: &[Sum], limit: Duration) -> Result<()> {
        let (missing, wrong): (Vec<&Sum>, Vec<&Sum>) = sums.iter().partition(|sum| sum.lacks_only());
        if !wrong.is_empty() {
            let keys: Vec<String> =
                wrong.iter().map(|sum| format!("{}#{}", sum.key.key.join("|"), sum.key.arrived)).collect();
            let sql = format!(
                "DELETE FROM {} WHERE concat(arrayStringConcat({}, '|'), '#', toString(toUInt16(arrival_day))) IN ?",
                view.table(),
                view.key_texts()
            );
            within("taking wrong sums away", limit, self.mending(&sql, limit).bind(keys).execute()).await?;
        }
        let lines = missing
            .iter()
            .map(|sum| line(sum, sum.missing()))
            .chain(wrong.iter().map(|sum| line(sum, sum.due.clone())));
        let lines: Vec<Line> = lines.filter(|line| line.2.iter().any(|value| *value > 0)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let query = self.mending(&insert_sums(view, ids), limit).bind(lines);
        within("putting sums right", limit, query.execute()).await
    }

    fn mending(&self, sql: &str, limit: Duration) -> clickhouse::query::Query {
        self.audited(sql, limit)
            .with_setting("lightweight_deletes_sync", "2")
            .with_setting("mutations_sync", "2")
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "0")
    }

    async fn order(&self, sql: &str, limit: Duration) -> Result<()> {
        within("mending a table", limit, self.mending(sql, limit).execute()).await
    }
}

impl Sum {
    /// Whether nothing is too much.
    fn lacks_only(&self) -> bool {
        self.held.iter().zip(&self.due).all(|(held, due)| held <= due)
    }

    /// What is missing; of the last time the time itself.
    fn missing(&self) -> Vec<u64> {
        let sums = self.due.iter().zip(&self.held).enumerate();
        sums.map(|(at, (due, held))| if at == LAST_TS { *due } else { due - held }).collect()
    }
}

/// Where the last time stands among the sums of affinity.
const LAST_TS: usize = 6;

/// One row on its way: key, arrival day, sums.
type Line = (Vec<String>, u16, Vec<u64>);

fn line(sum: &Sum, values: Vec<u64>) -> Line {
    (sum.key.key.clone(), sum.key.arrived, values)
}

fn insert_sums(view: View, ids: IdKind) -> String {
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for (at, (column, kind)) in view.key().iter().enumerate() {
        columns.push((*column).to_owned());
        let kind = kind.replace("{id}", id_type(ids)).replace('\'', "\\'");
        values.push(format!("CAST(line.1[{}], '{kind}')", at + 1));
    }
    columns.push("arrival_day".to_owned());
    values.push("toDate(line.2)".to_owned());
    for (at, column) in ["views", "impressions", "likes", "comments", "shares", "dwell_ms"].iter().enumerate() {
        columns.push((*column).to_owned());
        values.push(format!("toUInt64(line.3[{}])", at + 1));
    }
    if view == View::Affinity {
        columns.push("last_ts".to_owned());
        values.push(format!("fromUnixTimestamp64Milli(toInt64(line.3[{}]), 'UTC')", LAST_TS + 1));
    }
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM (SELECT arrayJoin(?) AS line)",
        view.table(),
        columns.join(", "),
        values.join(", ")
    )
}
