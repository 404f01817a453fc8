//! The spool's own door: events in while Kafka is away, and what was heard of them since.

use std::collections::BTreeSet;

use rocksdb::WriteBatch;

use super::{Pending, Writer};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family};
use crate::model::{Event, Id, TimestampMs, Topic, TopicPartition, hour_of};
use crate::spool::{Spool, SpoolBounds, SpoolItem, SpoolState, Spooled};
use crate::store::Store;
use crate::value::{self, PostRow, SpoolRow};

impl Writer {
    /// Whether this node has applied an event of this id, as far as it remembers. Asks the store, not the filters in
    /// front of it: those may have to be read in first, which takes long while somebody waits.
    fn applied(&self, engine: &Engine, event_id: u128) -> Result<bool> {
        for (at, position) in self.positions.iter().filter(|(at, _)| at.topic == Topic::Events) {
            for hour in self.dedup.first_hour(position.watermark)..=hour_of(position.watermark) {
                if engine.get(Family::Dedup, &key::dedup(at.partition, hour, event_id))?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Store {
    /// Takes events into the spool, each with the value of its record, in one write that is on disk when this returns.
    /// Readers see them from then on, or a moment before.
    ///
    /// After an error nothing is promised of any of them: some may be kept.
    pub fn spool(
        &self,
        events: &[(Event, Vec<u8>)],
        bounds: &SpoolBounds,
        now_ms: TimestampMs,
    ) -> Result<Vec<Spooled>> {
        let fates = self.write_spool(events, bounds, now_ms)?;
        // Without the writer's lock: whoever applies and whoever fills the projection need not wait for the disk.
        self.engine.sync_wal()?;
        Ok(fates)
    }

    fn write_spool(
        &self,
        events: &[(Event, Vec<u8>)],
        bounds: &SpoolBounds,
        now_ms: TimestampMs,
    ) -> Result<Vec<Spooled>> {
        let mut writer = self.writer.write();
        let writer = &mut *writer;
        let mut pending = Pending::new(now_ms);
        let first = writer.spool.state().next;
        let taken = self.take_in(writer, events, bounds, &mut pending);
        let written = taken.and_then(|(batch, fates)| self.engine.write(batch).map(|()| fates));
        match &written {
            Ok(_) => self.project(&pending, writer.overlay(), now_ms),
            // The index is of what is written, and of nothing else.
            Err(_) => writer.spool.remove(first..writer.spool.state().next),
        }
        written
    }

    /// Decides about each event, on top of the ones before it.
    fn take_in(
        &self,
        writer: &mut Writer,
        events: &[(Event, Vec<u8>)],
        bounds: &SpoolBounds,
        pending: &mut Pending,
    ) -> Result<(WriteBatch, Vec<Spooled>)> {
        let (entries, owners) = (self.engine.cf(Family::Spool)?, self.engine.cf(Family::SpoolOf)?);
        let mut batch = WriteBatch::default();
        let mut fates = Vec::with_capacity(events.len());
        for (event, record) in events {
            let state = writer.spool.state();
            let known = writer.spool.find(event.user, event.event_id).is_some();
            fates.push(if known || writer.applied(&self.engine, event.event_id)? {
                Spooled::Known
            } else if !bounds.admits(event.action, record.len(), &state, pending.now_ms) {
                Spooled::Full
            } else {
                let row = SpoolRow { event: event.clone(), at: pending.now_ms, value: record.clone(), sent: None };
                batch.put_cf(entries, key::spool(state.next), value::encode(Family::Spool, &row)?);
                batch.put_cf(owners, self.keys.spool_of(event.user, state.next), []);
                pending.spool(event);
                writer.spool.put(state.next, event.clone(), pending.now_ms, record.len());
                Spooled::Kept(state.next)
            });
        }
        Ok((batch, fates))
    }

    /// How much is spooled.
    pub fn spool_state(&self) -> SpoolState {
        self.writer.read_recursive().spool_state()
    }

    /// The first spooled events with sequence numbers from `from` to below `until` that Kafka has not acknowledged.
    pub fn spool_unsent(&self, from: u64, until: u64, most: usize) -> Result<Vec<SpoolItem>> {
        let sequences: Vec<u64> = self.writer.read_recursive().spool.unsent(from, until).take(most).collect();
        let mut items = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            // One that is gone by now has come back from Kafka.
            let Some(bytes) = self.engine.get(Family::Spool, &key::spool(sequence))? else { continue };
            let row: SpoolRow = value::decode(Family::Spool, &bytes)?;
            items.push(SpoolItem { sequence, user: row.event.user, value: row.value });
        }
        Ok(items)
    }

    /// Kafka has acknowledged a spooled event's record. It stays in the overlay until that record is applied.
    pub fn spool_sent(&self, sequence: u64, partition: u32, offset: i64, now_ms: TimestampMs) -> Result<()> {
        let at = TopicPartition { topic: Topic::Events, partition };
        let mut writer = self.writer.write();
        let writer = &mut *writer;
        let Some(event) = writer.spool.event(sequence) else { return Ok(()) };
        if !writer.is_past(at, offset) {
            // Not synced: should this be lost, the record is met before the event would be sent again.
            if let Some(bytes) = self.engine.get(Family::Spool, &key::spool(sequence))? {
                let row: SpoolRow = value::decode(Family::Spool, &bytes)?;
                let row = value::encode(Family::Spool, &SpoolRow { sent: Some((partition, offset)), ..row })?;
                let mut batch = WriteBatch::default();
                batch.put_cf(self.engine.cf(Family::Spool)?, key::spool(sequence), row);
                self.engine.write(batch)?;
            }
            writer.spool.sent(sequence, at, offset);
            return Ok(());
        }
        // The record was met before it was known for ours, and was not taken for this event: it is a dead letter.
        let mut pending = Pending::new(now_ms);
        pending.unspool(sequence, event);
        self.engine.write(pending.batch(&self.engine, writer.keys)?)?;
        writer.spool.remove(pending.unspooled());
        self.project(&pending, writer.overlay(), now_ms);
        Ok(())
    }

    /// Takes the events of users who left out of the spool, or only counts them; gives back how many there were.
    pub(crate) fn unspool_users(&self, users: &BTreeSet<Id>, remove: bool) -> Result<usize> {
        let mut writer = self.writer.write();
        let writer = &mut *writer;
        let now_ms = self.clock.now_ms();
        let mut pending = Pending::new(now_ms);
        for (sequence, event) in writer.spool.events().filter(|(_, event)| users.contains(&event.user)) {
            pending.unspool(sequence, event);
        }
        let count = pending.unspooled().count();
        if remove && count > 0 {
            self.engine.write(pending.batch(&self.engine, writer.keys)?)?;
            writer.spool.remove(pending.unspooled());
            self.project(&pending, writer.overlay(), now_ms);
        }
        Ok(count)
    }

    /// Who wrote these posts, in the order asked; `None` for a post whose author this node does not know.
    pub fn authors_of(&self, posts: &[Id]) -> Result<Vec<Option<Id>>> {
        let keys: Vec<_> = posts.iter().map(|post| self.keys.one(*post)).collect();
        let rows = self.engine.get_many(Family::Posts, &keys)?;
        rows.iter()
            .map(|row| match row {
                Some(bytes) => Ok(value::decode::<PostRow>(Family::Posts, bytes)?.author.map(|(author, _)| author)),
                None => Ok(None),
            })
            .collect()
    }
}

impl Writer {
    fn spool_state(&self) -> SpoolState {
        self.spool.state()
    }

    /// What is spooled has been removed from the store, as another node's to send.
    pub(crate) fn leave_spool(&mut self) {
        self.spool = Spool::default();
    }

    /// Whether a record has been met.
    fn is_past(&self, at: TopicPartition, offset: i64) -> bool {
        self.positions.get(&at).is_some_and(|position| position.next_offset > offset)
    }
}

/// An epoch that takes the place of others takes over what was promised there.
impl Store {
    /// Takes in what another epoch has spooled and this one has not met, as one write that is on disk when this returns.
    /// May be done again.
    pub(crate) fn take_over(&self, earlier: &Engine) -> Result<()> {
        let mut writer = self.writer.write();
        let writer = &mut *writer;
        let mut batch = WriteBatch::default();
        let mut pending = Pending::new(self.clock.now_ms());
        earlier.scan_all(Family::Spool, &[], |_, bytes| {
            let row: SpoolRow = value::decode(Family::Spool, bytes)?;
            let event = &row.event;
            let at = |partition| TopicPartition { topic: Topic::Events, partition };
            let met = row.sent.is_some_and(|(partition, offset)| writer.is_past(at(partition), offset));
            if met
                || writer.spool.find(event.user, event.event_id).is_some()
                || writer.applied(&self.engine, event.event_id)?
            {
                return Ok(true);
            }
            let sequence = writer.spool.state().next;
            batch.put_cf(self.engine.cf(Family::Spool)?, key::spool(sequence), bytes);
            batch.put_cf(self.engine.cf(Family::SpoolOf)?, self.keys.spool_of(event.user, sequence), []);
            pending.spool(event);
            writer.spool.put(sequence, event.clone(), row.at, row.value.len());
            if let Some((partition, offset)) = row.sent {
                writer.spool.sent(sequence, at(partition), offset);
            }
            Ok(true)
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        self.engine.write(batch)?;
        pending.touched().for_each(|user| self.viewers.changed(*user));
        // What is spooled is read with the rest when it is read in again.
        self.hot.write().start_over();
        self.engine.sync_wal()
    }
}
