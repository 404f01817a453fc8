//! One rebuild under way: the tables in parts, each taken in whole and noted, then what follows from them.

use std::sync::{Arc, Mutex, PoisonError};

use edgefeed_storage::Build;
use edgefeed_storage::model::{HOUR_MS, IdKind, TimestampMs, Topic, hour_of};
use edgefeed_storage::retention::tombstones_ms;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::super::error::{Error, Result};
use super::super::fill::{Piece, fill};
use super::super::note::{Note, WalkNote};
use super::super::pace::Pace;
use super::foundation::{foundation, watermark};
use super::{Bootstrap, blocking, millis};
use crate::center::{Bounds, Cut, Shard, Walk};

/// Answers held between the connection and the one who writes.
const PIECES: usize = 8;

/// What all parts of one rebuild have in common.
pub(super) struct Work {
    pub(super) boot: Bootstrap,
    pub(super) build: Arc<Build>,
    pub(super) note: Mutex<Note>,
    pub(super) cut: Cut,
    pub(super) ids: IdKind,
    pub(super) storage: edgefeed_storage::Config,
    pub(super) pace: Pace,
    /// When the center last did what it was asked.
    pub(super) well_at: Mutex<Instant>,
}

impl Work {
    /// Reads what is left of one table.
    pub(super) async fn walk(self: &Arc<Self>, walk: Walk) -> Result<()> {
        self.boot.report.begin(&format!("reading {}", walk.name()));
        if !self.noted(|note| note.walks.contains_key(&walk)) {
            let shards = self.patiently(|| self.boot.divide(walk, self.ids, &self.cut)).await?;
            self.noted(|note| note.walks.insert(walk, WalkNote::of(&shards)));
            self.keep_note().await?;
        }
        let begun = Instant::now();
        let Some(noted) = self.noted(|note| note.walks.get(&walk).cloned()) else { return Ok(()) };
        let mut left = noted.left().into_iter();
        self.boot.report.table(walk, noted.rows, noted.done.len(), noted.parts.len());
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < self.boot.settings.concurrency
                && let Some((number, shard)) = left.next()
            {
                let work = Arc::clone(self);
                under_way.spawn(async move { work.part(walk, shard).await.map(|()| number) });
            }
            let Some(done) = under_way.join_next().await else {
                self.boot.report.table_done(walk, millis(begun));
                return Ok(());
            };
            let number = done.map_err(|_| Error::Panicked("reading a part"))??;
            self.noted(|note| note.walks.get_mut(&walk).map(|noted| noted.done.insert(number)));
            self.keep_note().await?;
            self.boot.report.part_done(walk);
        }
    }

    /// Reads one part, again and again until it is in.
    async fn part(self: &Arc<Self>, walk: Walk, shard: Shard) -> Result<()> {
        self.patiently(|| self.attempt(walk, shard)).await
    }

    async fn attempt(&self, walk: Walk, shard: Shard) -> Result<()> {
        let bounds = Bounds {
            ids: self.ids,
            cluster: &self.boot.cluster,
            topic: &self.boot.kafka.topics.events,
            cut: &self.cut,
            now_ms: self.noted(|note| note.now_ms),
            deleted_since: self.noted(|note| note.now_ms) - tombstones_ms(self.storage.tombstone_days),
            remembered_since: self.remembered_since(shard),
        };
        let mut rows = self.boot.center.walk(walk, &bounds, shard, self.boot.limit()).map_err(Error::Center)?;
        let (give, take) = mpsc::channel(PIECES);
        let (build, shape, as_of_ms) = (Arc::clone(&self.build), (walk, self.ids, rows.width()), bounds.now_ms);
        let writing = spawn_blocking(move || fill(&build, shape, as_of_ms, take));
        let read = async {
            while let Some(chunk) = rows.next().await.map_err(Error::Center)? {
                self.boot.check_stop()?;
                let count = (chunk.len() / rows.width()) as u64;
                if give.send(Piece::Rows(chunk)).await.is_err() {
                    break;
                }
                self.boot.report.read(walk, count);
                self.pace.take(count).await;
            }
            // Should the writer be gone, it tells why itself.
            drop(give.send(Piece::End).await);
            Ok(())
        };
        let read: Result<()> = read.await;
        // Without the end of the rows nothing is taken in.
        drop(give);
        let written = writing.await.map_err(|_| Error::Panicked("writing a part"))?;
        read?;
        written.map(drop)
    }

    /// From when on a partition's event ids are remembered.
    fn remembered_since(&self, shard: Shard) -> TimestampMs {
        let horizon = i64::from(self.storage.dedup_hours.max(1)) * HOUR_MS;
        let watermark = self.noted(|note| {
            let mut places = note.places.iter().filter(|place| place.at.topic == Topic::Events);
            let place = places.find(|place| u128::from(place.at.partition) == shard.from.0);
            place.map_or(0, |place| watermark(place, note))
        });
        i64::from(hour_of(watermark - horizon)) * HOUR_MS
    }

    fn noted<T>(&self, look: impl FnOnce(&mut Note) -> T) -> T {
        look(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn keep_note(self: &Arc<Self>) -> Result<()> {
        let work = Arc::clone(self);
        blocking("noting how far it is", move || {
            let text = work.noted(|note| serde_json::to_string(note));
            let text = text.map_err(|error| Error::Refused(format!("the note cannot be written: {error}")))?;
            Ok(work.build.keep_note(&text)?)
        })
        .await
    }

    /// Makes what follows from the rows, says where the store stands, and has it all on disk.
    pub(super) async fn finish(self: &Arc<Self>) -> Result<()> {
        self.boot.report.begin("making indexes and counts");
        let work = Arc::clone(self);
        blocking("making indexes and counts", move || {
            work.build.derive(|_| {})?;
            let foundation = work.noted(|note| foundation(note));
            work.build.finish(&foundation)?;
            work.noted(|note| note.finished = true);
            Ok(())
        })
        .await?;
        self.keep_note().await
    }
}
