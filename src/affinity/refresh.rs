//! Renews the bases of readers lately seen, many a query, before a request has to wait for one.

use edgefeed_storage::model::{Day, Id, TimestampMs};
use hashbrown::HashSet;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fetch::Failed;
use super::readers::SEEN_FOR;
use super::{Affinity, Source, measure};

/// Readers of one query.
const BATCH: usize = 200;
/// Queries of one run: what is left is for the next run.
const BATCHES: usize = 10;
/// Rows held of an answer before they are stored.
const ROWS_HELD: usize = 50_000;

/// How a run went.
#[derive(Debug)]
struct Run {
    at_ms: TimestampMs,
    due: usize,
    renewed: usize,
    failed: Option<String>,
}

/// The last run.
#[derive(Debug, Default)]
pub(super) struct LastRefresh(Mutex<Option<Run>>);

impl LastRefresh {
    pub(super) fn snapshot(&self) -> Value {
        let run = self.0.lock();
        run.as_ref().map_or(
            Value::Null,
            |run| json!({ "at_ms": run.at_ms, "due": run.due, "renewed": run.renewed, "failed": run.failed }),
        )
    }
}

impl Affinity {
    /// One run: of the readers seen in the last hour those whose base is older than `clickhouse.affinity_refresh_s`, the
    /// oldest first. Ends early where the breaker opens. How many were renewed.
    ///
    /// # Errors
    /// Why it ended before all were; what was renewed until then is.
    pub async fn refresh_active(&self, now_ms: TimestampMs) -> Result<usize, String> {
        let Some(source) = self.source.as_ref().filter(|_| (self.begun)()) else { return Ok(0) };
        let seen_since = now_ms.saturating_sub(i64::try_from(SEEN_FOR.as_millis()).unwrap_or(i64::MAX));
        let due = self.readers.due(seen_since, now_ms.saturating_sub(self.refresh_ms));
        let (mut renewed, mut failed) = (0, None);
        for batch in due.chunks(BATCH).take(BATCHES) {
            let Some(permit) = source.breaker.acquire() else {
                failed = Some("the breaker lets nothing through".to_owned());
                break;
            };
            let started = Instant::now();
            match self.renew(source, batch, now_ms).await {
                Ok(with_rows) => {
                    permit.success();
                    renewed += batch.len();
                    measure::fetched(if with_rows > 0 { "fetched" } else { "empty" }, started.elapsed());
                }
                Err(error) => {
                    if let Failed::Center(_) = error {
                        permit.failure();
                    }
                    measure::fetched(error.result(), started.elapsed());
                    failed = Some(error.to_string());
                    break;
                }
            }
        }
        *self.last_refresh.0.lock() = Some(Run { at_ms: now_ms, due: due.len(), renewed, failed: failed.clone() });
        failed.map_or(Ok(renewed), Err)
    }

    /// Renews some readers, by one query for all whose bases end alike; how many had any rows.
    async fn renew(&self, source: &Source, readers: &[Id], now_ms: TimestampMs) -> Result<usize, Failed> {
        let mut with_rows = 0;
        for (own_from, readers) in self.ends_of(readers).await? {
            with_rows += self.renew_alike(source, &readers, own_from, now_ms).await?;
        }
        Ok(with_rows)
    }

    async fn renew_alike(
        &self,
        source: &Source,
        readers: &[Id],
        own_from: Option<Day>,
        now_ms: TimestampMs,
    ) -> Result<usize, Failed> {
        let cut = self.cut(own_from, now_ms).await?;
        let mut histories = self.ask(source, readers, &cut, now_ms)?;
        let mut without: HashSet<Id> = readers.iter().copied().collect();
        let (mut held, mut rows_held) = (Vec::new(), 0);
        while let Some((reader, rows)) = histories.next().await? {
            without.remove(&reader);
            rows_held += rows.len();
            held.push((reader, rows));
            if rows_held >= ROWS_HELD {
                self.keep(std::mem::take(&mut held), own_from, now_ms).await?;
                rows_held = 0;
            }
        }
        let with_rows = readers.len() - without.len();
        held.extend(without.into_iter().map(|reader| (reader, Vec::new())));
        self.keep(held, own_from, now_ms).await?;
        Ok(with_rows)
    }
}
