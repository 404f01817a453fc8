//! Asking the center: for one reader on behalf of requests, for many on behalf of the job.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgefeed_storage::model::{Day, Id, TimestampMs, Topic};
use edgefeed_storage::{Begin, Store};
use edgefeed_sync::breaker::Permit;
use edgefeed_sync::center::{self, Cut, Histories, HistoryQuery, HistoryRow};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::flights::{Departure, Ticket};
use super::{Affinity, Source, measure};

/// Why a reader's base was not renewed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The center did not answer, or not rightly.
    #[error(transparent)]
    Center(#[from] center::Error),
    /// It may not be asked as things stand; see [`Affinity::obstacle`].
    #[error("{0}")]
    NotAsked(&'static str),
    /// The answer could not be stored.
    #[error("storing a reader's base: {0}")]
    Store(String),
}

impl Affinity {
    /// Sets out for a reader's history, unless somebody already has.
    pub(super) fn depart(self: &Arc<Self>, source: &Source, reader: Id, now_ms: TimestampMs) -> Departure {
        let leave = self.flights.join(reader, || {
            // The last one may have landed between the look at the store and now.
            let landed = self.readers.as_of(reader).is_some_and(|as_of| now_ms - as_of <= self.stale_ms());
            if landed {
                return Err(Departure::Landed);
            }
            // No waiting for either: a page without it is better than a page too late.
            let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Departure::Refused)?;
            if !(self.begun)() {
                return Err(Departure::Refused);
            }
            Ok((slot, source.breaker.acquire().ok_or(Departure::Refused)?))
        });
        let ((slot, permit), ticket) = match leave {
            Ok(leave) => leave,
            Err(departure) => return departure,
        };
        let flying = Arc::clone(self).fly(source.clone(), reader, now_ms, slot, permit, ticket);
        let task = tokio::spawn(flying);
        self.flights.taken_by(reader, task.abort_handle()).map_or(Departure::Landed, Departure::Waiting)
    }

    /// One reader's history, from asking to storing.
    async fn fly(
        self: Arc<Self>,
        source: Source,
        reader: Id,
        now_ms: TimestampMs,
        _slot: OwnedSemaphorePermit,
        permit: Permit,
        ticket: Ticket,
    ) {
        let _landing = Landing { affinity: &self, reader, _ticket: ticket };
        let cut = async {
            let own_from = self.ends_of(&[reader]).await?.pop_first().and_then(|(own_from, _)| own_from);
            Ok((own_from, self.cut(own_from, now_ms).await?))
        };
        let cut = cut.await;
        let started = Instant::now();
        let brought = match cut {
            Ok((own_from, cut)) => self.bring(&source, reader, &cut, now_ms).await.map(|rows| (own_from, rows)),
            Err(failed) => Err(failed),
        };
        let took = started.elapsed();
        match &brought {
            Ok(_) if took > self.budget => permit.slow(),
            Ok(_) => permit.success(),
            Err(Failed::Center(_)) => permit.failure(),
            // That says nothing about the center.
            Err(Failed::NotAsked(_) | Failed::Store(_)) => drop(permit),
        }
        let outcome = match brought {
            Ok((own_from, rows)) => {
                let result = if rows.is_empty() { "empty" } else { "fetched" };
                self.keep(vec![(reader, rows)], own_from, now_ms).await.map(|()| result)
            }
            Err(failed) => Err(failed),
        };
        match outcome {
            Ok(result) => measure::fetched(result, took),
            Err(failed) => {
                measure::fetched(failed.result(), took);
                tracing::debug!("a reader's history: {failed}");
            }
        }
    }

    /// All rows of one reader.
    async fn bring(
        &self,
        source: &Source,
        reader: Id,
        cut: &Cut,
        now_ms: TimestampMs,
    ) -> Result<Vec<HistoryRow>, Failed> {
        let mut histories = self.ask(source, &[reader], cut, now_ms)?;
        let rows = histories.next().await?.map(|(_, rows)| rows).unwrap_or_default();
        // To its end: an answer that breaks off is none.
        while histories.next().await?.is_some() {}
        Ok(rows)
    }

    /// The query for some readers; it is sent when its answer is read.
    pub(super) fn ask(
        &self,
        source: &Source,
        readers: &[Id],
        cut: &Cut,
        now_ms: TimestampMs,
    ) -> Result<Histories, Failed> {
        let ids = self.store.ids();
        let (cluster, topic) = (source.cluster.as_str(), source.topic.as_str());
        Ok(source.center.histories(&HistoryQuery { users: readers, ids, cluster, topic, cut, now_ms })?)
    }

    /// Readers by where their bases end: at a whole day, or where this node's own log begins.
    pub(super) async fn ends_of(&self, readers: &[Id]) -> Result<BTreeMap<Option<Day>, Vec<Id>>, Failed> {
        let (store, readers) = (Arc::clone(&self.store), readers.to_vec());
        let looked = tokio::task::spawn_blocking(move || {
            let mut ends: BTreeMap<_, Vec<Id>> = BTreeMap::new();
            for reader in readers {
                let base = store.base_of(reader).map_err(|error| Failed::Store(error.to_string()))?;
                ends.entry(base.and_then(|base| base.own_from)).or_default().push(reader);
            }
            Ok(ends)
        });
        looked.await.unwrap_or_else(|_| Err(Failed::Store("panicked".to_owned())))
    }

    /// Where bases that end there are cut.
    pub(super) async fn cut(&self, own_from: Option<Day>, now_ms: TimestampMs) -> Result<Cut, Failed> {
        if let Some(own_from) = own_from {
            return Ok(Cut::before(own_from));
        }
        let store = Arc::clone(&self.store);
        // The store's writer may be at work, which is no wait for a thread that has connections to serve.
        let begins = tokio::task::spawn_blocking(move || begins(&store)).await;
        let begins = begins.unwrap_or(Err("looking for it panicked")).map_err(Failed::NotAsked)?;
        Cut::of(&begins, now_ms).ok_or(Failed::NotAsked("no partition of events is known yet"))
    }

    /// Stores what was brought; of a reader without rows, that there are none.
    pub(super) async fn keep(
        &self,
        brought: Vec<(Id, Vec<HistoryRow>)>,
        own_from: Option<Day>,
        as_of_ms: TimestampMs,
    ) -> Result<(), Failed> {
        let (store, readers) = (Arc::clone(&self.store), self.readers.clone());
        let kept = tokio::task::spawn_blocking(move || {
            for (reader, rows) in brought {
                let kept = store.put_history(reader, &rows, as_of_ms, own_from);
                if kept.map_err(|error| Failed::Store(error.to_string()))? {
                    readers.renewed(reader, as_of_ms);
                }
            }
            Ok(())
        });
        kept.await.unwrap_or_else(|_| Err(Failed::Store("panicked".to_owned())))
    }

    /// Why the center cannot be asked rightly at all, if so.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        if !(self.begun)() {
            return Some("catching up with Kafka for the first time");
        }
        begins(&self.store).err()
    }
}

/// Where a store's own history begins, by partition of `events`.
fn begins(store: &Store) -> Result<BTreeMap<u32, Begin>, &'static str> {
    let positions = store.positions().map_err(|_| "the store cannot be read")?;
    let begins = store.begins();
    let mut events = positions.keys().filter(|at| at.topic == Topic::Events);
    match events.all(|at| begins.contains_key(&at.partition)) {
        true => Ok(begins),
        false => Err("the store was begun by an earlier version, which did not note where; a new store would"),
    }
}

impl Failed {
    /// The label of the metric.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Center(center::Error::TimedOut { .. }) => "timeout",
            Self::Center(error) if error.code() == Some(TIMEOUT_EXCEEDED) => "timeout",
            Self::NotAsked(_) => "refused",
            Self::Center(_) | Self::Store(_) => "error",
        }
    }
}

/// ClickHouse's own limit on a query.
const TIMEOUT_EXCEEDED: u32 = 159;

/// Takes a flight off the list and wakes who waits, whatever ended it.
struct Landing<'a> {
    affinity: &'a Affinity,
    reader: Id,
    _ticket: Ticket,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.affinity.flights.land(self.reader);
    }
}
