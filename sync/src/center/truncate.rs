//! A table that was emptied in the application's database, emptied at the center.

use super::client::{Center, within};
use super::error::Result;
use super::tables::Table;

impl Center {
    /// Marks every row of a `…_cdc` table below `version` as gone, as of that version. Doing it twice changes nothing:
    /// the same row of the same version is one row.
    ///
    /// # Errors
    /// Some rows may be marked and others not: send the same again.
    pub async fn truncate(&self, table: Table, version: u64) -> Result<()> {
        let columns = table.columns().join(", ");
        let values: Vec<&str> = table
            .columns()
            .iter()
            .map(|column| match *column {
                "_version" => "toUInt64(?)",
                "_deleted" => "toUInt8(1)",
                other => other,
            })
            .collect();
        let name = table.name();
        // Names from a fixed list, every one a plain word. The column `_version` is named with its table: the value put
        // in its place has the same name.
        let sql = format!(
            "INSERT INTO {name} ({columns}) SELECT {} FROM {name} FINAL WHERE {name}._version < ? \
             SETTINGS async_insert = 0, insert_deduplicate = 0",
            values.join(", ")
        );
        let query = self.query(&sql).bind(version).bind(version);
        within("emptying a table", self.insert_timeout(), query.execute()).await
    }
}
