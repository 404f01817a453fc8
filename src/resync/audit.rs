//! `resync verify` and `resync repair` as operators order and see them.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_sync::center::Center;
use edgefeed_sync::resync::audit::{Audit, Finding, Mended, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Job, JobOrder};
use crate::clock::now_ms;
use crate::config::Config;

/// Differences told one by one at most; all are counted.
const TOLD: usize = 200;
/// Differences that one run takes up at most; the next one takes the rest.
const MOST: usize = 100_000;
/// How long is waited for the sink to pass what this node has applied.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a comparison came to, for people and programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditTold {
    /// Whether nothing differs.
    pub clean: bool,
    /// When it was looked, in epoch milliseconds.
    pub as_of_ms: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Rows compared, by what was compared.
    pub compared: std::collections::BTreeMap<String, u64>,
    /// Differences, by side, table and kind.
    pub counts: Vec<Counted>,
    /// The first of them, one by one.
    pub findings: Vec<Told>,
    /// What could not be compared, and why.
    pub unproved: Vec<String>,
    /// Rows put right, by side and table; of a repair alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mended: Option<Value>,
}

/// So many differences of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// `center` or `node`.
    pub side: String,
    /// The table, or what of the store.
    pub table: String,
    /// `lost`, `doubled`, `altered` or `foreign`.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// `center` or `node`.
    pub side: String,
    /// The table, or what of the store.
    pub table: String,
    /// `lost`, `doubled`, `altered` or `foreign`.
    pub kind: String,
    /// Which row.
    pub key: String,
    /// What is there and what should be.
    pub detail: String,
}

/// Compares, and where ordered puts right.
///
/// # Errors
/// In words, with the mend.
pub async fn audit(
    config: &Config,
    center: &Arc<Center>,
    store: &Arc<Store>,
    order: &JobOrder,
) -> Result<AuditTold, String> {
    let audit = Audit {
        center: Arc::clone(center),
        store: Arc::clone(store),
        kafka: config.kafka.clone(),
        sink: config.sink.clone(),
        cluster: config.node.cluster.clone(),
        limit: Duration::from_millis(config.resync.query_timeout_ms),
        patience: PATIENCE,
        most: MOST,
    };
    let begun = std::time::Instant::now();
    let (mended, verdict) = match (order.job, order.dry_run) {
        (Job::Repair, false) => {
            let (mended, verdict) = audit.repair(now_ms()).await.map_err(|error| error.to_string())?;
            (Some(mended), verdict)
        }
        _ => (None, audit.verify(now_ms()).await.map_err(|error| error.to_string())?),
    };
    metrics::gauge!("edgefeed_resync_drift_ratio").set(verdict.drift());
    Ok(told(&verdict, mended.as_ref(), begun.elapsed()))
}

fn told(verdict: &Verdict, mended: Option<&Mended>, took: Duration) -> AuditTold {
    let mut findings = verdict.findings();
    let mut counts: Vec<Counted> = Vec::new();
    for found in findings.iter().map(one) {
        match counts
            .iter_mut()
            .find(|so_far| (&so_far.side, &so_far.table, &so_far.kind) == (&found.side, &found.table, &found.kind))
        {
            Some(so_far) => so_far.count += 1,
            None => counts.push(Counted { side: found.side, table: found.table, kind: found.kind, count: 1 }),
        }
    }
    findings.truncate(TOLD);
    AuditTold {
        clean: verdict.is_clean(),
        as_of_ms: verdict.as_of_ms,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        compared: verdict.compared.iter().map(|(what, rows)| ((*what).to_owned(), *rows)).collect(),
        counts,
        findings: findings.iter().map(one).collect(),
        unproved: verdict.unproved.clone(),
        mended: mended.and_then(|mended| serde_json::to_value(mended).ok()),
    }
}

fn one(found: &Finding) -> Told {
    Told {
        side: found.side.name().to_owned(),
        table: found.table.to_owned(),
        kind: found.kind.name().to_owned(),
        key: found.key.clone(),
        detail: found.detail.clone(),
    }
}

impl AuditTold {
    /// The same as lines for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, rows) in &self.compared {
            text.push_str(&format!("compared  {what:<26} {rows}\n"));
        }
        for line in &self.unproved {
            text.push_str(&format!("unproved  {line}\n"));
        }
        for Counted { side, table, kind, count } in &self.counts {
            text.push_str(&format!("differs   {side:<6} {table:<18} {kind:<8} {count}\n"));
        }
        for Told { side, table, kind, key, detail } in &self.findings {
            text.push_str(&format!("  {side} {table} {kind} {key}: {detail}\n"));
        }
        for (what, rows) in self.mended.iter().filter_map(|mended| mended["rows"].as_object()).flatten() {
            text.push_str(&format!("mended    {what:<26} {rows}\n"));
        }
        let verdict = if self.clean { "nothing differs" } else { "not the same" };
        text.push_str(&format!("{verdict}; looked for {:.1} s\n", self.took_ms as f64 / 1e3));
        text
    }
}
