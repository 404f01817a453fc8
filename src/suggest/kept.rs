//! What was found for readers, kept for a while: not beyond a change of whom the reader follows or blocks, and renewed
//! for readers who come back.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_storage::{AuthorNo, Store, StoreError, View};
use hashbrown::DefaultHashBuilder;
use moka::sync::Cache;

use super::find::{self, Suggested};

/// Memory for what is kept, in bytes.
const KEPT_BYTES: u64 = 16 << 20;
/// How old an answer may be. Others' follows change it too, and nobody tells.
const FRESH_MS: i64 = 60_000;
/// The age at which the job finds it anew: within [`FRESH_MS`] of it, by far.
const RENEW_MS: i64 = 30_000;
/// The job takes care of readers who asked within this time.
const LATELY_MS: i64 = 10 * 60_000;
/// How long one run of the job may take.
const RUN_MAX: Duration = Duration::from_millis(500);

/// One reader's.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) users: Vec<Suggested>,
    pub(super) at: TimestampMs,
    /// Whom the reader followed and blocked.
    graph: u64,
    asked_at: AtomicI64,
}

/// All readers', bounded by bytes.
#[derive(Debug)]
pub(super) struct Kept {
    found: Cache<Id, Arc<Found>>,
    hasher: DefaultHashBuilder,
}

impl Kept {
    pub(super) fn new() -> Self {
        let weigh = |_: &Id, found: &Arc<Found>| {
            u32::try_from(size_of::<Found>() + found.users.len() * size_of::<Suggested>() + 64).unwrap_or(u32::MAX)
        };
        let idle = Duration::from_millis(LATELY_MS.unsigned_abs());
        let found = Cache::builder().weigher(weigh).max_capacity(KEPT_BYTES).time_to_live(idle).build();
        Self { found, hasher: DefaultHashBuilder::default() }
    }

    /// What is kept of a reader, if it is still good.
    pub(super) fn fresh(
        &self,
        store: &Store,
        reader: Id,
        now_ms: TimestampMs,
    ) -> Result<Option<Arc<Found>>, StoreError> {
        let Some(found) = self.found.get(&reader) else { return Ok(None) };
        found.asked_at.store(now_ms, Ordering::Relaxed);
        let young = now_ms.saturating_sub(found.at) <= FRESH_MS;
        Ok((young && found.graph == self.graph(&store.view(reader, now_ms)?)).then_some(found))
    }

    /// The same, found now where nothing good is kept.
    pub(super) fn fresh_or_found(
        &self,
        store: &Store,
        reader: Id,
        now_ms: TimestampMs,
    ) -> Result<Arc<Found>, StoreError> {
        match self.fresh(store, reader, now_ms)? {
            Some(found) => Ok(found),
            None => self.find(store, reader, now_ms, now_ms),
        }
    }

    fn find(
        &self,
        store: &Store,
        reader: Id,
        asked_at: TimestampMs,
        now_ms: TimestampMs,
    ) -> Result<Arc<Found>, StoreError> {
        // Before the finding: a change that comes meanwhile makes what is found too old at once.
        let graph = self.graph(&store.view(reader, now_ms)?);
        let users = find::find(store, reader, now_ms)?;
        let found = Arc::new(Found { users, at: now_ms, graph, asked_at: AtomicI64::new(asked_at) });
        self.found.insert(reader, Arc::clone(&found));
        Ok(found)
    }

    /// One run of the job: the oldest first.
    pub(super) fn renew(&self, store: &Store, now_ms: TimestampMs) -> Result<usize, StoreError> {
        let started = Instant::now();
        let mut due: Vec<(TimestampMs, Id, TimestampMs)> = self
            .found
            .iter()
            .map(|(reader, found)| (found.at, *reader, found.asked_at.load(Ordering::Relaxed)))
            .filter(|(at, _, asked_at)| {
                now_ms.saturating_sub(*at) >= RENEW_MS && now_ms.saturating_sub(*asked_at) <= LATELY_MS
            })
            .collect();
        due.sort_unstable();
        let mut renewed = 0;
        for (_, reader, asked_at) in due.into_iter().take_while(|_| started.elapsed() < RUN_MAX) {
            self.find(store, reader, asked_at, now_ms)?;
            renewed += 1;
        }
        Ok(renewed)
    }

    /// A number for whom a reader follows and blocks: another one, another number. In no order, as blocks have none.
    fn graph(&self, view: &View<'_>) -> u64 {
        let viewer = view.viewer();
        let sum = |kind: u8, authors: &mut dyn Iterator<Item = &AuthorNo>| {
            let ids = authors.filter_map(|author| view.author_id(*author));
            ids.fold(0_u64, |sum, id| sum.wrapping_add(self.hasher.hash_one((kind, id))))
        };
        sum(0, &mut viewer.follows.iter()).wrapping_add(sum(1, &mut viewer.blocked.iter()))
    }
}
