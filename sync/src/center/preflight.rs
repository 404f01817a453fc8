//! Before anything is sent: whether the center's tables would take each row, and take it once.

use std::fmt;

use edgefeed_storage::model::IdKind;

use super::client::Center;
use super::error::Result;
use super::facts::{Facts, TableFacts};
use super::migrate::RECORDS;
use super::schema::{FILES, File, id_type};
use super::shape::{self, Shape, View};
use super::tables::Table;

/// The oldest server that takes the settings of an insert.
const OLDEST: (u32, u32) = (24, 8);
/// For how long replicated tables must remember tokens, in seconds: a day. Newer servers' default is an hour.
const WINDOW_SECONDS_MIN: u64 = 86_400;

/// One thing that must be mended before rows may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The table or view; `server` for the server itself.
    pub table: String,
    /// The setting, column or other property of it.
    pub what: String,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub wanted: String,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, what, found, wanted, mend } = self;
        write!(f, "{table}: {what} is {found}, must be {wanted}; {mend}")
    }
}

impl Center {
    /// Looks whether some tables, and with `Events` the views it feeds, are fit to be written to. Empty: they are.
    ///
    /// `window_min` is the least number of inserts each table must remember (`sink.dedup_window_min`).
    ///
    /// # Errors
    /// When the server could not be asked; nothing is known then.
    pub async fn preflight(&self, tables: &[Table], ids: IdKind, window_min: u64) -> Result<Vec<Complaint>> {
        let facts = self.facts().await?;
        let replicated = !self.cluster().is_empty();
        let judge =
            Judge { facts: &facts, database: self.database(), ids, replicated, window_min, complaints: Vec::new() };
        Ok(judge.judge(tables))
    }
}

/// Compares what is there with what must be.
struct Judge<'a> {
    facts: &'a Facts,
    database: &'a str,
    ids: IdKind,
    /// Whether inserts ask for a quorum.
    replicated: bool,
    window_min: u64,
    complaints: Vec<Complaint>,
}

impl Judge<'_> {
    fn judge(mut self, tables: &[Table]) -> Vec<Complaint> {
        self.server();
        for table in tables {
            self.table(&shape::source(*table));
        }
        if tables.contains(&Table::Events) {
            for view in shape::views() {
                self.table(&view.target);
                self.view(&view);
            }
        }
        self.complaints
    }

    fn complain(&mut self, table: &str, what: &str, found: &str, wanted: &str, mend: impl Into<String>) {
        let found = if found.is_empty() { "empty" } else { found };
        self.complaints.push(Complaint {
            table: table.to_owned(),
            what: what.to_owned(),
            found: found.to_owned(),
            wanted: wanted.to_owned(),
            mend: mend.into(),
        });
    }

    fn server(&mut self) {
        let mut parts = self.facts.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if version < OLDEST {
            let wanted = format!("{}.{} or newer", OLDEST.0, OLDEST.1);
            self.complain("server", "version", &self.facts.version, &wanted, "update ClickHouse");
        }
    }

    fn table(&mut self, shape: &Shape) {
        let Some(found) = self.facts.tables.get(shape.name) else {
            let wanted = format!("in database {}", self.database);
            return self.complain(shape.name, "the table", "missing", &wanted, self.make_again(shape.name));
        };
        if !found.engine.ends_with("MergeTree") {
            let wanted = format!("{} or Replicated{0}", shape.engine);
            return self.complain(
                shape.name,
                "engine",
                &found.engine,
                &wanted,
                "name a database of tables, not of others' fronts",
            );
        }
        if self.replicated && !found.is_replicated() {
            let mend = "leave clickhouse.cluster empty, or make the tables with `edgefeed migrate clickhouse --cluster` \
                in another database: this one has no replica to ask for a quorum";
            self.complain(shape.name, "engine", &found.engine, &format!("Replicated{}", shape.engine), mend);
        }
        self.keys(shape, found);
        self.columns(shape, found);
        self.windows(shape, found);
    }

    fn keys(&mut self, shape: &Shape, found: &TableFacts) {
        const ANEW: &str = "it cannot be altered: make it anew with `edgefeed migrate clickhouse` and copy the rows";
        let family = found.engine.trim_start_matches("Replicated").trim_start_matches("Shared");
        if family != shape.engine || !arguments(&found.engine_full).ends_with(shape.arguments) {
            let head = found.engine_full.split(" PARTITION BY ").next().unwrap_or("");
            let head = head.split(" ORDER BY ").next().unwrap_or("").to_owned();
            let wanted = match shape.arguments {
                "" => shape.engine.to_owned(),
                arguments => format!("{}({arguments})", shape.engine),
            };
            self.complain(shape.name, "engine", &head, &wanted, ANEW);
        }
        if found.sorting_key != shape.sorting_key {
            self.complain(shape.name, "sorting key", &found.sorting_key, shape.sorting_key, ANEW);
        }
        if !shape.partitioned && !found.partition_key.is_empty() {
            self.complain(shape.name, "partition key", &found.partition_key, "empty", ANEW);
        }
    }

    fn columns(&mut self, shape: &Shape, found: &TableFacts) {
        for (column, kind) in &shape.columns {
            let wanted = kind.replace("{id}", id_type(self.ids));
            let what = format!("column {column}");
            match found.columns.get(*column) {
                None => {
                    let mend = format!("ALTER TABLE `{}`.{} ADD COLUMN {column} {wanted}", self.database, shape.name);
                    self.complain(shape.name, &what, "missing", &wanted, mend);
                }
                Some(kind) if *kind != wanted => {
                    let mend = format!(
                        "see whether node.ids = \"{}\" is right; else alter the column, or make the table anew",
                        self.ids.name()
                    );
                    self.complain(shape.name, &what, kind, &wanted, mend);
                }
                Some(_) => {}
            }
        }
    }

    /// How to have something made that is recorded as made.
    fn make_again(&self, name: &str) -> String {
        let file = FILES.iter().find(|file| file.name.ends_with(&format!("_{name}.sql")));
        match file.filter(|_| self.facts.tables.contains_key(RECORDS)) {
            Some(File { name, .. }) => format!(
                "ALTER TABLE `{}`.{RECORDS} DELETE WHERE name = '{name}' SETTINGS mutations_sync = 2, then run `edgefeed \
                 migrate clickhouse`",
                self.database
            ),
            None => "run `edgefeed migrate clickhouse`".to_owned(),
        }
    }

    /// A repeated insert is kept out of each table by that table's own memory, of the views' targets too.
    fn windows(&mut self, shape: &Shape, found: &TableFacts) {
        if found.is_replicated() {
            self.window(shape, found, "replicated_deduplication_window", self.window_min, 100_000);
            self.window(shape, found, "replicated_deduplication_window_seconds", WINDOW_SECONDS_MIN, 604_800);
        } else {
            self.window(shape, found, "non_replicated_deduplication_window", self.window_min, 100_000);
        }
    }

    fn window(&mut self, shape: &Shape, found: &TableFacts, setting: &str, least: u64, better: u64) {
        let value = self.facts.setting(found, setting);
        if value.is_none_or(|value| value < least) {
            let shown = value.map_or_else(|| "not readable".to_owned(), |value| value.to_string());
            let (database, table, value) = (self.database, shape.name, better.max(least));
            let mend = format!("ALTER TABLE `{database}`.{table} MODIFY SETTING {setting} = {value}");
            self.complain(table, setting, &shown, &format!("{least} or more"), mend);
        }
    }

    fn view(&mut self, view: &View) {
        let again = self.make_again(view.name);
        let anew = format!(
            "DROP TABLE `{}`.{}, then {again}; what came meanwhile is not in its target",
            self.database, view.name
        );
        let Some(found) = self.facts.tables.get(view.name) else {
            let wanted = format!("a view to {}", view.target.name);
            let mend = format!("{again}; what came meanwhile is not in its target");
            return self.complain(view.name, "the view", "missing", &wanted, mend);
        };
        if found.engine != "MaterializedView" {
            return self.complain(view.name, "engine", &found.engine, "MaterializedView", anew);
        }
        let target = target(&found.create_table_query);
        let wanted = (self.database.to_owned(), view.target.name.to_owned());
        if target.as_ref() != Some(&wanted) {
            let shown = target
                .map_or_else(|| "a table of its own".to_owned(), |(database, table)| format!("{database}.{table}"));
            self.complain(view.name, "target", &shown, &format!("{}.{}", wanted.0, wanted.1), anew.clone());
        }
        let events = Table::Events.name();
        let reads =
            |facts: &Facts| facts.tables.get(events).is_some_and(|it| it.readers.iter().any(|name| name == view.name));
        if self.facts.tables.contains_key(events) && !reads(self.facts) {
            self.complain(view.name, "source", "another table", &format!("{}.{events}", self.database), anew);
        }
    }
}

/// What stands in the parentheses right behind the engine's name; empty when there are none.
fn arguments(engine_full: &str) -> &str {
    let end = engine_full.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(engine_full.len());
    let rest = &engine_full[end..];
    // Paths of replicas may hold braces and quotes, but no parenthesis.
    rest.strip_prefix('(').and_then(|inside| inside.split_once(')')).map_or("", |(inside, _)| inside)
}

/// Database and table a view writes to, by the statement that would make it.
fn target(create: &str) -> Option<(String, String)> {
    let head = create.split_once(" AS SELECT ").map_or(create, |(head, _)| head);
    let (_, rest) = head.split_once(" TO ")?;
    let (database, rest) = identifier(rest)?;
    let (table, _) = identifier(rest.strip_prefix('.')?)?;
    Some((database, table))
}

/// A name at the beginning of a text, in backquotes where ClickHouse writes them, and what follows it.
fn identifier(text: &str) -> Option<(String, &str)> {
    match text.strip_prefix('`') {
        Some(quoted) => quoted.split_once('`').map(|(name, rest)| (name.to_owned(), rest)),
        None => {
            let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
            (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_s_target_is_read_with_and_without_quotes() {
        let reads = |create| target(create).map(|(database, table)| format!("{database}/{table}"));
        assert_eq!(
            reads("CREATE MATERIALIZED VIEW `a-b`.mv TO `a-b`.post_metrics_1h (`post_id` UUID) AS SELECT 1").as_deref(),
            Some("a-b/post_metrics_1h")
        );
        assert_eq!(reads("CREATE MATERIALIZED VIEW d.mv TO d.t AS SELECT ' TO x.y'").as_deref(), Some("d/t"));
        assert_eq!(reads("CREATE MATERIALIZED VIEW d.mv ENGINE = MergeTree AS SELECT ' TO x.y'"), None);
    }

    #[test]
    fn the_engine_s_arguments_are_found_behind_a_replica_s_path() {
        let full = "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', _version, _deleted) ORDER BY id";
        assert!(arguments(full).ends_with("_version, _deleted"));
        assert_eq!(arguments("ReplacingMergeTree PARTITION BY toYYYYMM(_ts, 'UTC') ORDER BY (a, b)"), "");
    }
}
