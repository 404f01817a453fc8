//! Histories renewed from the center by whole arrival days: what it has of closed days takes the place of what this node
//! counted of them, base and own rows alike. Doing it again changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::{Day, Id, TimestampMs};
use edgefeed_storage::{Base, Partial, Store};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::config::Config;
use super::error::{Error, Result};
use super::fill::counters;
use super::pace::Pace;
use super::report::Report;
use crate::breaker::{Breaker, Permit};
use crate::center::{Bounds, Center, Cut, Fields, HistoryQuery, HistoryRow, Walk};

/// Readers of one query.
const BATCH: usize = 200;
/// Between two looks at a breaker that is open.
const LOOK: Duration = Duration::from_millis(200);

/// Whose histories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of everybody this node has history of from before the day.
    Active,
    /// Of everybody the center has history of.
    All,
    /// Of these.
    These(Vec<Id>),
}

/// What was done, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refreshed {
    /// The first arrival day that stays this node's own.
    pub own_from: Day,
    /// Readers whose history was taken anew.
    pub readers: u64,
    /// Rows they have.
    pub rows: u64,
}

/// Renews histories.
#[derive(Clone, Debug)]
pub struct Refresher {
    /// The center.
    pub center: Arc<Center>,
    /// The breaker around it.
    pub breaker: Arc<Breaker>,
    /// Whose histories are kept.
    pub store: Arc<Store>,
    /// `node.cluster`.
    pub cluster: String,
    /// Kafka's name of the topic `events`.
    pub topic: String,
    /// The `[resync]` section.
    pub settings: Config,
    /// Told of everything.
    pub report: Report,
}

impl Refresher {
    /// Renews histories up to a closed day ([`super::closed_day`]).
    ///
    /// # Errors
    /// Why it ended before all were; what was renewed until then is, and doing it again does the rest.
    pub async fn run(&self, whose: &Whose, own_from: Day, now_ms: TimestampMs) -> Result<Refreshed> {
        self.report.begin("renewing histories");
        let mut done = Refreshed { own_from, ..Refreshed::default() };
        match whose {
            Whose::These(readers) => {
                for batch in readers.chunks(BATCH) {
                    self.renew(batch, own_from, now_ms, &mut done).await?;
                }
            }
            Whose::Active => self.rest(own_from, now_ms, &mut done).await?,
            Whose::All => {
                self.whole(own_from, now_ms, &mut done).await?;
                // Whom the center knows nothing of.
                self.rest(own_from, now_ms, &mut done).await?;
                let base = Base { as_of_ms: now_ms, rows: 0, own_from: Some(own_from) };
                let store = Arc::clone(&self.store);
                waiting(move || store.put_whole_base(base)).await?;
            }
        }
        Ok(done)
    }

    /// Everybody who is still due.
    async fn rest(&self, own_from: Day, now_ms: TimestampMs, done: &mut Refreshed) -> Result<()> {
        let mut after = None;
        loop {
            let store = Arc::clone(&self.store);
            let readers = waiting(move || store.readers_to_renew(own_from, after, BATCH)).await?;
            let Some(last) = readers.last().copied() else { return Ok(()) };
            self.renew(&readers, own_from, now_ms, done).await?;
            after = Some(last);
        }
    }

    /// Some readers, by one query.
    async fn renew(&self, readers: &[Id], own_from: Day, now_ms: TimestampMs, done: &mut Refreshed) -> Result<()> {
        let permit = self.leave().await?;
        let cut = Cut::before(own_from);
        let ids = self.store.ids();
        let query = HistoryQuery { users: readers, ids, cluster: &self.cluster, topic: &self.topic, cut: &cut, now_ms };
        let asked = async {
            let mut histories = self.center.histories(&query)?;
            let (mut found, mut without) = (Vec::new(), readers.iter().copied().collect::<BTreeSet<Id>>());
            while let Some((reader, rows)) = histories.next().await? {
                without.remove(&reader);
                found.push((reader, rows));
            }
            found.extend(without.into_iter().map(|reader| (reader, Vec::new())));
            Ok(found)
        };
        let found = match asked.await {
            Ok(found) => found,
            Err(error) => {
                permit.failure();
                return Err(Error::Center(error));
            }
        };
        permit.success();
        self.keep(found, own_from, now_ms, done).await
    }

    /// Everybody the center knows, part by part.
    async fn whole(&self, own_from: Day, now_ms: TimestampMs, done: &mut Refreshed) -> Result<()> {
        let (ids, cut) = (self.store.ids(), Cut::before(own_from));
        let limit = Duration::from_millis(self.settings.query_timeout_ms);
        let pace = Pace::new(self.settings.max_rows_per_s);
        let shards = self.center.shards(Walk::Histories, ids, &cut, self.settings.shard_rows, limit);
        let shards = shards.await.map_err(Error::Center)?;
        self.report.table(Walk::Histories, shards.rows, 0, shards.parts.len());
        for shard in shards.parts {
            let permit = self.leave().await?;
            let bounds = Bounds {
                ids,
                cluster: &self.cluster,
                topic: &self.topic,
                cut: &cut,
                now_ms,
                deleted_since: 0,
                remembered_since: 0,
            };
            let mut rows = self.center.walk(Walk::Histories, &bounds, shard, limit).map_err(Error::Center)?;
            let mut held: Vec<(Id, Vec<HistoryRow>)> = Vec::new();
            loop {
                let chunk = match rows.next().await {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) => break,
                    Err(error) => {
                        permit.failure();
                        return Err(Error::Center(error));
                    }
                };
                for row in chunk.chunks_exact(rows.width()) {
                    let mut fields = Fields(row);
                    let (reader, author, day) = (fields.id(ids), fields.id(ids), fields.u16());
                    let sums = Partial { counters: counters(&mut fields), last_time: fields.i64() };
                    match held.last_mut().filter(|(last, _)| *last == reader) {
                        Some((_, rows)) => rows.push((author, day, sums)),
                        None => held.push((reader, vec![(author, day, sums)])),
                    }
                }
                let count = (chunk.len() / rows.width()) as u64;
                self.report.read(Walk::Histories, count);
                pace.take(count).await;
                // All but the last reader, whose rows may go on in the next piece.
                if held.len() > BATCH {
                    let last = held.pop();
                    self.keep(std::mem::take(&mut held), own_from, now_ms, done).await?;
                    held.extend(last);
                }
            }
            permit.success();
            self.keep(held, own_from, now_ms, done).await?;
            self.report.part_done(Walk::Histories);
        }
        Ok(())
    }

    async fn keep(
        &self,
        found: Vec<(Id, Vec<HistoryRow>)>,
        own_from: Day,
        now_ms: TimestampMs,
        done: &mut Refreshed,
    ) -> Result<()> {
        let store = Arc::clone(&self.store);
        let (readers, rows) = waiting(move || {
            let (mut readers, mut rows) = (0, 0);
            for (reader, history) in found {
                if store.renew_history(reader, &history, now_ms, own_from)? {
                    readers += 1;
                    rows += history.len() as u64;
                }
            }
            Ok((readers, rows))
        })
        .await?;
        done.readers += readers;
        done.rows += rows;
        Ok(())
    }

    /// Waits until the breaker lets a query through.
    async fn leave(&self) -> Result<Permit> {
        let patience = Duration::from_secs(self.settings.patience_s);
        let begun = tokio::time::Instant::now();
        loop {
            if let Some(permit) = self.breaker.acquire() {
                self.report.wait(None);
                return Ok(permit);
            }
            self.report.wait(Some("clickhouse: the breaker is open".to_owned()));
            if begun.elapsed() > patience {
                return Err(Error::BreakerOpen(self.settings.patience_s));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The store, where waiting for it keeps nobody else.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> edgefeed_storage::Result<T> + Send + 'static) -> Result<T> {
    Ok(spawn_blocking(work).await.map_err(|_| Error::Panicked("renewing histories"))??)
}
