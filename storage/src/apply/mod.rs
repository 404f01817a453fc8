//! The one door in: records and their offsets become ONE write.
//!
//! Within a batch every change sees the ones before it. Nothing is visible, in the database or in the projection, before
//! the write succeeded; after a crash the effects and the offset are both there or both not.

mod dead;
mod events;
mod forgotten;
mod pending;
mod rows;
mod spool;
mod truncate;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::config::Config;
use crate::dedup::Dedup;
use crate::engine::Engine;
use crate::error::Result;
use crate::hot::{self, LoadedPost};
use crate::key::{self, Family, Keys};
use crate::model::{Change, Id, Outcome, Record, TimestampMs, Topic, TopicPartition};
use crate::position::{Applied, Position};
use crate::spool::{Overlay, Spool};
use crate::store::{OpenOptions, Store};
use crate::value::{self, Begin, VersionMark};
use pending::Pending;

/// How far a record's clock may run ahead of the node's before it is ignored as a clock.
pub(crate) const CLOCK_SLACK_MS: i64 = 5 * 60_000;

/// The state only `apply` needs: positions, version marks, remembered ids, what is spooled.
#[derive(Debug)]
pub(crate) struct Writer {
    keys: Keys,
    apply_truncates: bool,
    positions: BTreeMap<TopicPartition, Position>,
    begins: BTreeMap<u32, Begin>,
    versions: BTreeMap<Topic, VersionMark>,
    stalled: BTreeSet<Topic>,
    dedup: Dedup,
    dead: dead::Cemetery,
    spool: Spool,
    forgotten: forgotten::Forgotten,
}

impl Writer {
    pub(crate) fn load(engine: &Engine, config: &Config, options: OpenOptions) -> Result<Self> {
        let mut positions = BTreeMap::new();
        engine.scan_all(Family::Offsets, &[], |key, bytes| {
            if let Some((at, _)) = key::split_record(key) {
                positions.insert(at, value::decode(Family::Offsets, bytes)?);
            }
            Ok(true)
        })?;
        let mut begins = BTreeMap::new();
        engine.scan(Family::Meta, &key::begins(), |key, bytes| {
            if let Some(partition) = key::split_begin(key) {
                begins.insert(partition, value::decode(Family::Meta, bytes)?);
            }
            Ok(true)
        })?;
        Ok(Self {
            keys: Keys(options.ids),
            apply_truncates: options.apply_truncates,
            positions,
            begins,
            versions: versions::load(engine)?,
            stalled: BTreeSet::new(),
            dedup: Dedup::new(config.dedup_hours),
            dead: dead::Cemetery::load(engine, config)?,
            spool: Spool::load(engine)?,
            forgotten: forgotten::Forgotten::load(engine, Keys(options.ids))?,
        })
    }

    pub(crate) fn positions(&self) -> &BTreeMap<TopicPartition, Position> {
        &self.positions
    }

    pub(crate) fn begins(&self) -> &BTreeMap<u32, Begin> {
        &self.begins
    }

    /// What is spooled, as readers of posts see it.
    pub(crate) fn overlay(&self) -> &Overlay {
        self.spool.overlay()
    }

    /// The horizon of a partition of `events`: the first hour whose ids are still remembered.
    fn first_hour(&self, partition: u32) -> Option<u32> {
        let position = self.positions.get(&TopicPartition { topic: Topic::Events, partition })?;
        Some(self.dedup.first_hour(position.watermark))
    }

    /// Drops the ids of hours that are no longer looked at.
    pub(crate) fn expire_dedup(&mut self, engine: &Engine) -> Result<()> {
        let mut batch = rocksdb::WriteBatch::default();
        let partitions: Vec<u32> =
            self.positions.keys().filter(|at| at.topic == Topic::Events).map(|at| at.partition).collect();
        for partition in partitions {
            let Some(first) = self.first_hour(partition) else { continue };
            if self.dedup.expire(partition, first) {
                let (from, to) = (key::dedup_bucket(partition, 0), key::dedup_bucket(partition, first));
                batch.delete_range_cf(engine.cf(Family::Dedup)?, from, to);
            }
        }
        engine.write(batch)
    }

    fn fold(&mut self, engine: &Engine, record: &Record, pending: &mut Pending) -> Result<()> {
        let topic = record.at.topic;
        let position = pending.position(record.at).or_else(|| self.positions.get(&record.at)).copied();
        if position.is_some_and(|position| record.offset < position.next_offset) {
            *pending.applied.replayed.entry(topic).or_default() += 1;
            return Ok(());
        }
        if self.stalled.contains(&topic) {
            return Ok(());
        }
        let first = position.is_none() && topic == Topic::Events;
        let position = next_position(position, record, pending.now_ms);
        if first {
            let begin = Begin { offset: record.offset, time: Some(position.watermark) };
            pending.begin(record.at.partition, begin);
        }
        match &record.outcome {
            Outcome::Dead { refusal, key, value } => {
                // A record of our own that came to be refused: it is kept as a dead letter, and the spool is done with it.
                if let Some((sequence, spooled)) = self.spool.at(record.at, record.offset) {
                    pending.unspool(sequence, spooled);
                }
                self.bury(record, refusal, key.as_deref(), value.as_deref(), pending);
            }
            Outcome::Change(Change::Nothing) => *pending.applied.nothing.entry(topic).or_default() += 1,
            Outcome::Change(Change::Event(event)) => {
                self.fold_event(engine, record, event, position.watermark, pending)?;
            }
            Outcome::Change(Change::Cdc(cdc)) => {
                if let Some(stall) = self.fold_cdc(engine, record, cdc, pending)? {
                    self.stalled.insert(topic);
                    pending.applied.stalls.push(stall);
                    return Ok(());
                }
            }
        }
        pending.set_position(record.at, position);
        Ok(())
    }
}

/// The position behind a record.
fn next_position(before: Option<Position>, record: &Record, now_ms: TimestampMs) -> Position {
    // No producer's clock moves the node's: not far ahead, and not before there was time.
    let clock = record.time.clamp(0, now_ms.max(0).saturating_add(CLOCK_SLACK_MS));
    Position {
        next_offset: record.offset.saturating_add(1),
        last_offset: record.offset,
        last_time: record.time,
        watermark: before.map_or(clock, |position| position.watermark.max(clock)),
        marked_from: before.map_or(record.offset, |position| position.marked_from),
    }
}

impl Store {
    /// Applies records of any partitions, each partition's in offset order, in one atomic write.
    ///
    /// Records below a partition's stored offset change nothing. A topic that stalls keeps its offset: its records, from
    /// the one that stalled it on, are left for later. After an error nothing of the batch is in the store; stop, open
    /// it anew and read again from its positions.
    pub fn apply(&self, records: &[Record], now_ms: TimestampMs) -> Result<Applied> {
        let mut writer = self.writer.write();
        self.clock.set(now_ms);
        let writer = &mut *writer;
        let mut pending = Pending::new(now_ms);
        for record in records {
            writer.fold(&self.engine, record, &mut pending)?;
        }
        let batch = pending.batch(&self.engine, writer.keys)?;
        let started = Instant::now();
        self.engine.write(batch)?;
        pending.applied.write = started.elapsed();
        writer.positions.extend(pending.positions());
        writer.begins.extend(pending.begins());
        writer.versions.extend(pending.versions());
        writer.forgotten.extend(pending.forgotten());
        writer.spool.remove(pending.unspooled());
        self.project(&pending, writer.overlay(), now_ms);
        Ok(pending.applied)
    }

    /// Moves a partition's offset over a stretch of log that holds no record (transaction markers, compacted ends). Of a
    /// partition nothing was applied of yet it notes where the first record will stand at least.
    pub fn advance(&self, at: TopicPartition, next_offset: i64, now_ms: TimestampMs) -> Result<()> {
        let mut writer = self.writer.write();
        let Some(position) = writer.positions.get(&at).copied() else {
            return self.note_begin(&mut writer, at, next_offset, now_ms);
        };
        if position.next_offset >= next_offset {
            return Ok(());
        }
        let position = Position { next_offset, ..position };
        let mut pending = Pending::new(now_ms);
        pending.set_position(at, position);
        self.engine.write(pending.batch(&self.engine, writer.keys)?)?;
        writer.positions.insert(at, position);
        Ok(())
    }

    fn note_begin(&self, writer: &mut Writer, at: TopicPartition, offset: i64, now_ms: TimestampMs) -> Result<()> {
        let begin = Begin { offset, time: None };
        if at.topic != Topic::Events || writer.begins.get(&at.partition) == Some(&begin) {
            return Ok(());
        }
        let mut pending = Pending::new(now_ms);
        pending.begin(at.partition, begin);
        self.engine.write(pending.batch(&self.engine, writer.keys)?)?;
        writer.begins.insert(at.partition, begin);
        Ok(())
    }

    /// Kafka's log of a partition now starts at `log_start`: marks below it can meet no reader any more.
    pub fn forget_below(&self, at: TopicPartition, log_start: i64) -> Result<()> {
        let mut batch = rocksdb::WriteBatch::default();
        batch.delete_range_cf(self.engine.cf(Family::Marks)?, key::record(at, 0), key::record(at, log_start.max(0)));
        self.engine.write(batch)
    }

    /// Brings the projection and the readers' facts to what was just written.
    fn project(&self, pending: &Pending, overlay: &Overlay, now_ms: TimestampMs) {
        for viewer in pending.touched() {
            self.viewers.changed(*viewer);
        }
        let missing = pending.posts_to_load(&self.hot.read());
        let loaded = missing.into_iter().filter_map(|post| self.load_to_project(post, overlay, now_ms).transpose());
        match loaded.collect::<Result<Vec<_>>>() {
            Ok(loaded) => {
                let mut hot = self.hot.write();
                pending.project(&mut hot, loaded, now_ms);
                hot.evict();
            }
            Err(error) => {
                // The write stands, so the projection must not: with nothing in it, everything is read anew.
                tracing::error!(%error, "a post could not be read after a write; the projection starts over");
                self.hot.write().start_over();
            }
        }
    }

    fn load_to_project(&self, post: Id, overlay: &Overlay, now_ms: TimestampMs) -> Result<Option<(Id, LoadedPost)>> {
        let loaded = hot::load_post(self.source(overlay), post, now_ms)?;
        let hot = self.hot.read();
        Ok(loaded.filter(|(author, post)| {
            hot.number_of(*author).is_some_and(|author| hot.is_loaded(author)) || post.is_active(now_ms)
        }))
    }
}
