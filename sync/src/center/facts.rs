//! What the server says about itself and about the tables of one database.

use std::collections::HashMap;

use clickhouse::Row;
use serde::Deserialize;

use super::client::Center;
use super::error::Result;

/// Everything [`super::preflight`] judges by.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The server's version, `26.9.2.1`.
    pub(super) version: String,
    /// Tables and views by name.
    pub(super) tables: HashMap<String, TableFacts>,
    /// The server's defaults of the settings of tables, and of replicated tables.
    pub(super) defaults: [HashMap<String, String>; 2],
}

/// One table or view.
#[derive(Clone, Debug, Default, Row, Deserialize)]
pub(super) struct TableFacts {
    name: String,
    /// `ReplicatedReplacingMergeTree`.
    pub(super) engine: String,
    /// The engine with its arguments, keys and settings.
    pub(super) engine_full: String,
    /// `user_id, event_id`.
    pub(super) sorting_key: String,
    /// Empty: none.
    pub(super) partition_key: String,
    /// The statement that would make it.
    pub(super) create_table_query: String,
    /// The views that read from it, of this database.
    pub(super) readers: Vec<String>,
    /// Columns with their types; not part of the same answer.
    #[serde(skip)]
    pub(super) columns: HashMap<String, String>,
}

impl TableFacts {
    /// Whether replicas of it copy each other.
    pub(super) fn is_replicated(&self) -> bool {
        self.engine.starts_with("Replicated") || self.engine.starts_with("Shared")
    }

    /// A setting given when the table was made or altered.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let (_, settings) = self.engine_full.split_once(" SETTINGS ")?;
        settings
            .split(", ")
            .filter_map(|setting| setting.split_once(" = "))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v)
    }
}

impl Facts {
    /// A setting of a table: its own, else the server's default.
    pub(super) fn setting(&self, table: &TableFacts, name: &str) -> Option<u64> {
        let default = || self.defaults[usize::from(table.is_replicated())].get(name).map(String::as_str);
        table.setting(name).or_else(default)?.trim_matches('\'').parse().ok()
    }
}

/// What is being done, for errors.
const WHAT: &str = "looking at the tables";

const TABLES: &str = "SELECT name, engine, engine_full, sorting_key, partition_key, create_table_query, \
    arrayMap(pair -> pair.2, arrayFilter(pair -> pair.1 = database, \
        arrayZip(dependencies_database, dependencies_table))) AS readers \
    FROM system.tables WHERE database = ? LIMIT 10000";
const COLUMNS: &str = "SELECT table, name, type FROM system.columns WHERE database = ? LIMIT 100000";
/// Also of replicated tables, whose defaults may be others.
const DEFAULTS: &str = "SELECT 0 AS replicated, name, value FROM system.merge_tree_settings WHERE name LIKE ? \
    UNION ALL SELECT 1 AS replicated, name, value FROM system.replicated_merge_tree_settings WHERE name LIKE ?";
const WINDOWS: &str = "%deduplication_window%";

impl Center {
    pub(super) async fn facts(&self) -> Result<Facts> {
        let limit = self.query_timeout();
        let version = self.fetch::<String>(WHAT, self.query("SELECT version()"), limit).await?;
        let query = self.query(TABLES).bind(self.database());
        let listed = self.fetch::<TableFacts>(WHAT, query, limit).await?;
        let query = self.query(COLUMNS).bind(self.database());
        let columns = self.fetch::<(String, String, String)>(WHAT, query, limit).await?;
        let mut facts = Facts { version: version.into_iter().next().unwrap_or_default(), ..Facts::default() };
        facts.tables = listed.into_iter().map(|table| (table.name.clone(), table)).collect();
        for (table, name, kind) in columns {
            if let Some(table) = facts.tables.get_mut(&table) {
                table.columns.insert(name, kind);
            }
        }
        // Tables made by `migrate` say everything themselves; only for others a user must be able to read the defaults.
        let says = |table: &TableFacts| table.engine_full.contains("deduplication_window");
        if facts.tables.values().any(|table| table.engine.contains("MergeTree") && !says(table)) {
            let query = self.query(DEFAULTS).bind(WINDOWS).bind(WINDOWS);
            for (replicated, name, value) in self.fetch::<(u8, String, String)>(WHAT, query, limit).await? {
                facts.defaults[usize::from(replicated.min(1))].insert(name, value);
            }
        }
        Ok(facts)
    }
}
