//! Tries every other party a configuration names: `edgefeed check --probe`.

use std::time::{Duration, Instant};

use edgefeed_sync::center::{Center, Class, Table};
use edgefeed_sync::logs::logs;
use serde::Serialize;

use crate::backup::Backups;
use crate::config::{Config, Role};

/// How long one party may take altogether; each question has its own, shorter limit.
const PATIENCE: Duration = Duration::from_secs(120);

/// How one party answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Which one.
    pub dependency: &'static str,
    /// Whether it does its part.
    pub ok: bool,
    /// What it said, or did not.
    pub detail: String,
    /// What to do about it; empty when there is nothing.
    pub mend: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What went wrong, and the mend.
type Fault = (String, String);

fn fault(detail: impl ToString, mend: &str) -> Fault {
    (detail.to_string(), mend.to_owned())
}

/// Tries all that are configured, one beside the other; the order of the answers is always the same.
pub async fn all(config: &Config) -> Vec<Probe> {
    let (kafka, clickhouse, postgres, keys, backup) = tokio::join!(
        timed("kafka", true, kafka(config)),
        timed("clickhouse", config.clickhouse.is_set(), clickhouse(config)),
        timed("postgres", config.postgres.is_set(), postgres(config)),
        timed("jwks", config.auth.follows_jwks(), jwks(config)),
        timed("backup", config.backup.is_set(), backup(config)),
    );
    [kafka, clickhouse, postgres, keys, backup].into_iter().flatten().collect()
}

async fn timed(
    dependency: &'static str,
    configured: bool,
    asked: impl Future<Output = Result<String, Fault>>,
) -> Option<Probe> {
    if !configured {
        return None;
    }
    let begun = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(fault("does not answer", "see whether it is well")));
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (ok, detail, mend) = match answer {
        Ok(detail) => (true, detail, String::new()),
        Err((detail, mend)) => (false, detail, mend),
    };
    Some(Probe { dependency, ok, detail, mend, took_ms })
}

async fn kafka(config: &Config) -> Result<String, Fault> {
    let mend = "see kafka.brokers and kafka.security";
    let settings = config.kafka.clone();
    let asked =
        tokio::task::spawn_blocking(move || logs(&settings)).await.map_err(|error| fault(error, "this is a bug"))?;
    let logs = asked.map_err(|error| fault(error, mend))?;
    if let Some((name, why)) = logs.missing.first() {
        let more = logs.missing.len() - 1;
        let detail = format!("{}: topic {name}: {why} (and {more} more)", config.kafka.brokers);
        return Err(fault(detail, "make the topic, or mend kafka.topics"));
    }
    let topics = config.kafka.topics.followed().len();
    Ok(format!("{}: {topics} topics, {} partitions", config.kafka.brokers, logs.extents.len()))
}

async fn clickhouse(config: &Config) -> Result<String, Fault> {
    let url = &config.clickhouse.url;
    let failed = |error: edgefeed_sync::center::Error| match error.class() {
        Class::Transient => fault(&error, "see clickhouse.url, and whether ClickHouse is well"),
        Class::Systemic(reason) if reason == edgefeed_sync::center::AUTH => {
            fault(&error, "see clickhouse.user and clickhouse.password, and what the user may do")
        }
        _ => fault(&error, "see docs/clickhouse.md"),
    };
    let center = Center::new(&config.clickhouse).map_err(failed)?;
    center.ping().await.map_err(failed)?;
    if !config.node.has(Role::Sink) {
        return Ok(format!("{url}: answers"));
    }
    let window = config.sink.dedup_window_min;
    let complaints = center.preflight(&Table::ALL, config.node.ids, window).await.map_err(failed)?;
    match complaints.first() {
        None => Ok(format!("{url}: answers, and its tables are fit for the sink")),
        Some(first) => {
            let more = complaints.len() - 1;
            let detail = format!(
                "{url}: {}: {} is {}, must be {} (and {more} more)",
                first.table, first.what, first.found, first.wanted
            );
            Err(fault(detail, &first.mend))
        }
    }
}

async fn postgres(config: &Config) -> Result<String, Fault> {
    // The address is a secret.
    crate::fallback::probe(&config.postgres).await.map_err(|detail| {
        fault(detail, "see postgres.url, whether PostgreSQL is well, and what sql/postgres/roles grants")
    })
}

async fn jwks(config: &Config) -> Result<String, Fault> {
    crate::auth::probe_jwks(&config.auth).await.map_err(|detail| fault(detail, "see auth.jwks_url or auth.jwks_file"))
}

async fn backup(config: &Config) -> Result<String, Fault> {
    let mend = "see backup.url and the keys, and what they may do";
    let backups = Backups::open(config).map_err(|error| fault(error, mend))?;
    backups.probe().await.map_err(|error| fault(error, mend))?;
    Ok(format!("{}: can be written to", config.backup.url))
}
