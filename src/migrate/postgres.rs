//! Applies `sql/postgres/schema` to the application's database: all that is missing in one transaction, recorded in it.

use std::str::FromStr;
use std::time::Duration;

use edgefeed_storage::model::IdKind;
use secrecy::ExposeSecret;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::fallback::Postgres;

/// What `migrate` did, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct Migrated {
    /// Which kind of ids the tables are made for.
    pub ids: IdKind,
    /// Why it is not known what was applied before; only where nothing was to be changed.
    pub away: Option<String>,
    /// Every file, in order.
    pub steps: Vec<Step>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its name, below `sql/postgres/schema`.
    pub name: &'static str,
    /// `already`, `applied` or `pending`.
    pub state: &'static str,
    /// What is sent to the server.
    pub statement: &'static str,
}

/// The files of one kind of ids, in order.
const fn files(ids: IdKind) -> [(&'static str, &'static str); 3] {
    let tables = match ids {
        IdKind::Uuid => ("uuid/001_tables.sql", include_str!("../../sql/postgres/schema/uuid/001_tables.sql")),
        IdKind::U64 => ("u64/001_tables.sql", include_str!("../../sql/postgres/schema/u64/001_tables.sql")),
    };
    [
        tables,
        ("002_indexes.sql", include_str!("../../sql/postgres/schema/002_indexes.sql")),
        ("003_publication.sql", include_str!("../../sql/postgres/schema/003_publication.sql")),
    ]
}

const CREATE_RECORDS: &str = "CREATE TABLE IF NOT EXISTS edgefeed_migrations (
    name       text PRIMARY KEY,
    checksum   text NOT NULL,
    ids        text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)";

/// An application goes on while an index is made or a lock is waited for, but not for long.
const BOUNDS: &str = "SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET client_min_messages = warning";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Every file, and the wait for another `migrate`.
const ALL_TIMEOUT: Duration = Duration::from_secs(300);

/// Applies what was not applied yet, or nothing at all; with `dry_run` only looks, and then a server that is away is no
/// failure.
pub async fn run(config: &Postgres, ids: IdKind, dry_run: bool) -> Result<Migrated, Failure> {
    let work = async {
        let mut connection = match connect(config).await {
            Ok(connection) => connection,
            Err(away) if dry_run => return Ok(migrated(ids, Some(away), |_| "pending")),
            Err(away) => return Err(Failure::failed(format!("postgres.url: {away}"))),
        };
        let done = if dry_run { look(&mut connection, ids).await } else { apply(&mut connection, ids).await };
        drop(connection.close().await);
        done
    };
    let late = || Err(Failure::failed("postgres: nothing was changed within 300 s; see what else runs there"));
    timeout(ALL_TIMEOUT, work).await.unwrap_or_else(|_| late())
}

async fn connect(config: &Postgres) -> Result<PgConnection, String> {
    // The address is a secret: sqlx's own words about a bad one quote parts of it.
    let options = PgConnectOptions::from_str(config.url.expose_secret())
        .map_err(|_| "the address cannot be read; write postgres://user:password@host:port/database".to_owned())?;
    let connecting = options.application_name("edgefeed migrate").disable_statement_logging();
    match timeout(CONNECT_TIMEOUT, connecting.connect()).await {
        Ok(connected) => connected.map_err(|error| format!("{error}; is PostgreSQL there, and the password right?")),
        Err(_) => Err(format!("no answer within {} s; is PostgreSQL there?", CONNECT_TIMEOUT.as_secs())),
    }
}

async fn look(connection: &mut PgConnection, ids: IdKind) -> Result<Migrated, Failure> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('edgefeed_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| failure("looking what was applied before", &error))?;
    let records = if there { records(connection, ids).await? } else { Vec::new() };
    refuse_other_ids(connection, ids).await?;
    Ok(migrated(ids, None, |name| if records.iter().any(|known| known == name) { "already" } else { "pending" }))
}

async fn apply(connection: &mut PgConnection, ids: IdKind) -> Result<Migrated, Failure> {
    let said = |what: &'static str| move |error| failure(what, &error);
    sqlx::raw_sql(BOUNDS).execute(&mut *connection).await.map_err(said("setting bounds"))?;
    let mut transaction = connection.begin().await.map_err(said("beginning"))?;
    sqlx::raw_sql(CREATE_RECORDS).execute(&mut *transaction).await.map_err(said("making edgefeed_migrations"))?;
    // One at a time; readers are let through.
    let lock = "LOCK TABLE edgefeed_migrations IN EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut *transaction).await.map_err(said("waiting for another migrate"))?;
    let known = records(&mut transaction, ids).await?;
    refuse_other_ids(&mut transaction, ids).await?;
    for (name, text) in files(ids).into_iter().filter(|(name, _)| !known.iter().any(|known| known == name)) {
        sqlx::raw_sql(text).execute(&mut *transaction).await.map_err(said(name))?;
        sqlx::query("INSERT INTO edgefeed_migrations (name, checksum, ids) VALUES ($1, $2, $3)")
            .bind(name)
            .bind(checksum(text))
            .bind(ids.name())
            .execute(&mut *transaction)
            .await
            .map_err(said("recording what was applied"))?;
    }
    transaction.commit().await.map_err(said("ending"))?;
    Ok(migrated(ids, None, |name| if known.iter().any(|known| known == name) { "already" } else { "applied" }))
}

fn migrated(ids: IdKind, away: Option<String>, state: impl Fn(&str) -> &'static str) -> Migrated {
    let steps = files(ids).map(|(name, statement)| Step { name, state: state(name), statement });
    Migrated { ids, away, steps: steps.to_vec() }
}

/// The files that were applied before.
async fn records(connection: &mut PgConnection, ids: IdKind) -> Result<Vec<String>, Failure> {
    let rows = sqlx::query("SELECT name, checksum, ids FROM edgefeed_migrations ORDER BY name LIMIT 1000")
        .fetch_all(connection)
        .await
        .map_err(|error| failure("looking what was applied before", &error))?;
    let mut known = Vec::new();
    for row in rows {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(|error| failure("reading records", &error));
        let (name, sum, kind) = (text("name")?, text("checksum")?, text("ids")?);
        if kind != ids.name() {
            return Err(conflict(&format!(
                "{name} was applied for ids of kind {kind}, and node.ids is {}",
                ids.name()
            )));
        }
        match files(ids).iter().find(|(file, _)| *file == name) {
            None => return Err(conflict(&format!("{name} was applied, and this edgefeed has no such file"))),
            Some((_, text)) if checksum(text) != sum => {
                return Err(conflict(&format!("{name} was applied, and is not what this edgefeed has by that name")));
            }
            Some(_) => known.push(name),
        }
    }
    Ok(known)
}

/// Tables that the application made itself have no record.
async fn refuse_other_ids(connection: &mut PgConnection, ids: IdKind) -> Result<(), Failure> {
    let (own, wanted) = match ids {
        IdKind::Uuid => ("uuid", "uuid"),
        IdKind::U64 => ("int8", "bigint"),
    };
    let kind: Option<String> = sqlx::query_scalar(
        "SELECT t.typname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = to_regclass('posts') AND a.attname = 'id' AND NOT a.attisdropped",
    )
    .fetch_optional(connection)
    .await
    .map_err(|error| failure("looking at the table posts", &error))?;
    match kind {
        Some(kind) if kind != own => {
            Err(conflict(&format!("posts.id is {kind}, and node.ids = \"{}\" wants {wanted}", ids.name())))
        }
        _ => Ok(()),
    }
}

fn conflict(what: &str) -> Failure {
    Failure::failed(format!("postgres: {what}; set node.ids right, or name another database or edgefeed"))
}

/// PostgreSQL's words, and the mend where the role may not do this.
fn failure(what: &str, error: &sqlx::Error) -> Failure {
    /// `insufficient_privilege`, and `read_only_sql_transaction` of the reader's role.
    const NOT_ALLOWED: [&str; 2] = ["42501", "25006"];
    let said = error.as_database_error();
    let code = said.and_then(|said| said.code());
    let mend = match code.as_deref() {
        Some(code) if NOT_ALLOWED.contains(&code) => {
            "this role may not make tables: run it once with an owner's address in EDGEFEED__POSTGRES__URL"
        }
        _ => "nothing was changed; run it again when that is mended",
    };
    let words = said.map_or_else(|| error.to_string(), |said| said.message().to_owned());
    Failure::failed(format!("postgres: {what}: {words}; {mend}"))
}

/// Names a file's statements for good, whatever its comments say: SHA-256, in hexadecimal.
fn checksum(text: &str) -> String {
    let code = text.lines().filter_map(|line| line.split("--").next());
    let words: Vec<_> = code.flat_map(str::split_whitespace).collect();
    Sha256::digest(words.join(" ")).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_applied() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/postgres/schema");
        for (ids, own) in [(IdKind::Uuid, "uuid"), (IdKind::U64, "u64")] {
            let names = |folder: std::path::PathBuf, before: &str| {
                let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
                let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
                files.map(|entry| format!("{before}{}", entry.file_name().into_string().unwrap())).collect::<Vec<_>>()
            };
            let mut there = names(folder.clone(), "");
            there.sort();
            there.splice(0..0, names(folder.join(own), &format!("{own}/")));
            assert_eq!(files(ids).map(|(name, _)| name.to_owned()).to_vec(), there);
        }
    }
}
