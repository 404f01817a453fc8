//! Makes the center's tables: each statement of `schema` once, in order, and a record of it in the database itself.

use std::time::Duration;

use clickhouse::Row;
use clickhouse::query::Query;
use clickhouse::sql::Identifier;
use edgefeed_storage::model::IdKind;
use serde::{Deserialize, Serialize};

use super::client::{Center, within};
use super::config::is_plain;
use super::error::{Class, Error, Result};
use super::schema::{FILES, File, Values, render};

/// What `migrate` did, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct Migrated {
    /// The database the tables are in.
    pub database: String,
    /// Which kind of ids they are made for.
    pub ids: IdKind,
    /// The ClickHouse cluster whose servers hold replicas of them; empty: one server.
    pub cluster: String,
    /// Why it is not known what was applied before; only where nothing was to be changed.
    pub away: Option<String>,
    /// Every statement, in order.
    pub steps: Vec<Step>,
}

/// One statement.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its file, or what it makes.
    pub name: &'static str,
    /// Whether it was applied.
    pub state: State,
    /// What is sent to the server.
    pub statement: String,
}

/// Whether a statement was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// At an earlier time.
    Already,
    /// Now.
    Applied,
    /// Not yet: nothing was to be changed.
    Pending,
}

/// Where it is recorded what was applied.
pub(super) const RECORDS: &str = "schema_migrations";

const CREATE_DATABASE: &str = "CREATE DATABASE IF NOT EXISTS {database} {on_cluster}";
/// A statement recorded twice, by two at once or after a crash, is one.
const CREATE_RECORDS: &str = "CREATE TABLE IF NOT EXISTS {database}.schema_migrations {on_cluster}
(
    number     UInt32,
    name       String,
    checksum   String,
    ids        LowCardinality(String),
    cluster    String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY number";

/// How long one statement may take; on a cluster every server takes part in it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// What is being done, for errors.
const LOOKING: &str = "looking what was applied before";

/// A statement as the database remembers it.
#[derive(Clone, Debug, Row, Deserialize)]
struct Record {
    number: u32,
    name: String,
    checksum: String,
    ids: String,
    cluster: String,
}

/// What of the bookkeeping is there, and what it says.
#[derive(Debug, Default)]
struct Past {
    database: bool,
    table: bool,
    records: Vec<Record>,
}

impl Center {
    /// Applies what was not applied yet; with `dry_run` only looks, and then a server that is away is no error.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the database was made by another program, for other ids or another cluster; nothing was
    /// changed then. After any other error the statements applied so far are recorded: run it again.
    pub async fn migrate(&self, ids: IdKind, cluster: &str, dry_run: bool) -> Result<Migrated> {
        if !cluster.is_empty() && !is_plain(cluster) {
            return Err(Error::Config(format!(
                "--cluster: {cluster:?} is not a plain name; use letters, digits, _ and -"
            )));
        }
        let values = Values { database: self.database(), cluster, ids };
        let (past, away) = match self.past(&values).await {
            Ok(past) => (past, None),
            Err(error) if dry_run && error.class() == Class::Transient => (Past::default(), Some(error.to_string())),
            Err(error) => return Err(error),
        };
        refuse_conflicts(&past.records, &values)?;
        let mut steps = steps(&past, &values);
        for step in steps.iter_mut().filter(|step| step.state == State::Pending && !dry_run) {
            self.apply(step, &values).await?;
            step.state = State::Applied;
        }
        Ok(Migrated { database: self.database().to_owned(), ids, cluster: cluster.to_owned(), away, steps })
    }

    async fn past(&self, values: &Values<'_>) -> Result<Past> {
        let limit = self.query_timeout();
        let query = self.anywhere("SELECT name FROM system.databases WHERE name = ?").bind(values.database);
        let database = !self.fetch::<String>(LOOKING, query, limit).await?.is_empty();
        let query = self.anywhere("SELECT engine FROM system.tables WHERE database = ? AND name = ?");
        let query = query.bind(values.database).bind(RECORDS);
        let Some(engine) = self.fetch::<String>(LOOKING, query, limit).await?.into_iter().next() else {
            return Ok(Past { database, table: false, records: Vec::new() });
        };
        if engine.starts_with("Replicated") {
            // A replica that lags would have statements applied again, which they survive, but not say of conflicts.
            let query = self.anywhere("SYSTEM SYNC REPLICA ?.schema_migrations LIGHTWEIGHT");
            within(LOOKING, STATEMENT_TIMEOUT, query.bind(Identifier(values.database)).execute()).await?;
        }
        let query = self.anywhere("SELECT ?fields FROM ?.schema_migrations FINAL ORDER BY number LIMIT 10000");
        let records = self.fetch::<Record>(LOOKING, query.bind(Identifier(values.database)), limit).await?;
        Ok(Past { database, table: true, records })
    }

    async fn apply(&self, step: &Step, values: &Values<'_>) -> Result<()> {
        // Verbatim: a statement has no places to bind to.
        within(step.name, STATEMENT_TIMEOUT, on_cluster(self.raw(&step.statement), values).execute()).await?;
        let Some(file) = FILES.iter().find(|file| file.name == step.name) else {
            return Ok(());
        };
        let query = self
            .anywhere("INSERT INTO ?.schema_migrations (number, name, checksum, ids, cluster) VALUES (?, ?, ?, ?, ?)");
        let mut query = query.bind(Identifier(values.database)).bind(file.number()).bind(file.name);
        query =
            query.bind(file.checksum()).bind(values.ids.name()).bind(values.cluster).with_setting("async_insert", "0");
        if !values.cluster.is_empty() {
            query = query.with_setting("insert_quorum", "auto");
        }
        within("recording what was applied", STATEMENT_TIMEOUT, query.execute()).await
    }
}

/// A server gives up on the others before this node gives up on it.
fn on_cluster(query: Query, values: &Values<'_>) -> Query {
    let seconds = STATEMENT_TIMEOUT.as_secs() - 5;
    if values.cluster.is_empty() {
        query
    } else {
        query.with_setting("distributed_ddl_task_timeout", seconds.to_string())
    }
}

fn steps(past: &Past, values: &Values<'_>) -> Vec<Step> {
    let step = |name, text, already| Step {
        name,
        state: if already { State::Already } else { State::Pending },
        statement: render(text, values),
    };
    let mut steps = vec![step("database", CREATE_DATABASE, past.database), step(RECORDS, CREATE_RECORDS, past.table)];
    let recorded = |file: &File| past.records.iter().any(|record| record.number == file.number());
    steps.extend(FILES.iter().map(|file| step(file.name, file.text, recorded(file))));
    steps
}

fn refuse_conflicts(records: &[Record], values: &Values<'_>) -> Result<()> {
    for record in records {
        let conflict = conflict(record, values);
        if let Some((what, mend)) = conflict {
            return Err(Error::Conflict(format!("clickhouse: database {}: {what}; {mend}", values.database)));
        }
    }
    Ok(())
}

/// What is wrong with a recorded statement, and the mend.
fn conflict(record: &Record, values: &Values<'_>) -> Option<(String, &'static str)> {
    let Record { number, name, checksum, ids, cluster } = record;
    let Some(file) = FILES.iter().find(|file| file.number() == *number) else {
        return Some((
            format!("{name} was applied, and this edgefeed has no such file"),
            "use the version of edgefeed that applied it, or a newer one",
        ));
    };
    if *name != file.name || *checksum != file.checksum() {
        return Some((
            format!("{name} was applied, and is not what this edgefeed has as {}", file.name),
            "use the version of edgefeed that applied it, or another database",
        ));
    }
    if ids != values.ids.name() {
        return Some((
            format!("{name} was applied for ids of kind {ids}, and node.ids is {}", values.ids.name()),
            "set node.ids to that, or name another database",
        ));
    }
    if cluster != values.cluster {
        let named = |cluster: &str| match cluster {
            "" => "one server".to_owned(),
            name => format!("the cluster {name}"),
        };
        return Some((
            format!("{name} was applied for {}, and not for {}", named(cluster), named(values.cluster)),
            "give that --cluster, or name another database",
        ));
    }
    None
}
