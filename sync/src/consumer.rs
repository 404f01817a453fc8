//! The reader: one thread that polls Kafka, decodes, and hands chunks of records on.
//!
//! It assigns partitions and offsets by itself, from what the store holds; no group decides anything. It never waits
//! for another machine: finding topics and asking for log ends is the [`crate::watcher`]'s work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use edgefeed_storage::model::{Outcome, Record, TimestampMs, Topic, TopicPartition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::Offset;

use crate::Clock;
use crate::client::Client;
use crate::decode::{self, Decode};
use crate::error::{Error, Result};
use crate::lag::Lag;
use crate::mailbox::{Mailbox, Orders};
use crate::names::Names;
use crate::start::{Anchor, Gap, GapReason, Sighting, Start};

/// How long one poll waits for a record; bounds how late a stop or an order is seen.
const POLL: Duration = Duration::from_millis(50);
/// How many records are handed on together, at most.
pub(crate) const CHUNK_RECORDS: usize = 256;
/// How many raw bytes of dead letters are handed on together, before the chunk is closed.
const CHUNK_BYTES: usize = 1 << 20;

/// Decoded records in the order they were read, and the ends of partitions met behind them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) records: Vec<Record>,
    /// No record is wanted of the partition below the offset, beyond those handed on already.
    pub(crate) ends: Vec<(TopicPartition, i64)>,
    dead_bytes: usize,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.records.len() >= CHUNK_RECORDS || self.dead_bytes >= CHUNK_BYTES
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.ends.is_empty()
    }
}

/// What the reader knows of a partition it reads.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The offset wanted next.
    next: i64,
    /// What the first record must be, until it was seen.
    anchor: Option<Anchor>,
}

/// What the reader does at the moment.
#[derive(Debug, Default)]
struct Progress {
    reading: BTreeMap<TopicPartition, Reading>,
    paused: BTreeSet<Topic>,
    /// Where reading began lately: told to the store with the next chunk, so that it knows a partition from its first
    /// day on, empty or not, and can tell later that something is missing.
    begun: Vec<(TopicPartition, i64)>,
}

/// The reader and its surroundings.
pub(crate) struct Reader {
    pub(crate) client: Arc<Client>,
    pub(crate) names: Names,
    pub(crate) decode: Decode,
    pub(crate) clock: Clock,
    pub(crate) lag: Arc<Lag>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) output: Sender<Chunk>,
}

impl Reader {
    /// Reads until asked to stop, or until nobody takes the chunks any more.
    pub(crate) fn run(self) -> Result<()> {
        let mut progress = Progress::default();
        while !self.mailbox.is_stopped() {
            self.obey(self.mailbox.take_orders(), &mut progress)?;
            let chunk = self.read_chunk(&mut progress)?;
            if !chunk.is_empty() && !self.hand_on(chunk) {
                break;
            }
        }
        Ok(())
    }

    fn obey(&self, orders: Orders, progress: &mut Progress) -> Result<()> {
        let Orders { start, drop, pause, restart } = orders;
        self.unassign(drop.iter().filter(|at| progress.reading.remove(at).is_some()).copied())?;
        if restart {
            let list = self.names.list(progress.reading.iter().map(|(at, known)| (*at, known.from())))?;
            self.client.assign(&list).map_err(Error::kafka("assigning partitions"))?;
        }
        let fresh: Vec<_> = start.into_iter().filter(|(at, _)| !progress.reading.contains_key(at)).collect();
        if !fresh.is_empty() {
            let list = self.names.list(fresh.iter().map(|(at, start)| (*at, Offset::Offset(start.from))))?;
            self.client.incremental_assign(&list).map_err(Error::kafka("assigning partitions"))?;
        }
        // A partition assigned anew is no longer paused.
        let again = restart || !fresh.is_empty();
        progress.begun.extend(fresh.iter().map(|(at, start)| (*at, start.next)));
        progress.reading.extend(fresh.into_iter().map(|(at, start)| (at, Reading::of(start))));
        if !pause.is_subset(&progress.paused) || again {
            progress.paused.extend(pause);
            self.pause(progress)?;
        }
        Ok(())
    }

    fn pause(&self, progress: &Progress) -> Result<()> {
        let paused = progress.reading.keys().filter(|at| progress.paused.contains(&at.topic));
        let list = self.names.list(paused.map(|at| (*at, Offset::Invalid)))?;
        self.client.pause(&list).map_err(Error::kafka("pausing partitions"))
    }

    fn unassign(&self, partitions: impl Iterator<Item = TopicPartition>) -> Result<()> {
        let list = self.names.list(partitions.map(|at| (at, Offset::Invalid)))?;
        if list.count() == 0 {
            return Ok(());
        }
        self.client.incremental_unassign(&list).map_err(Error::kafka("unassigning partitions"))
    }

    /// Waits for a first record, then takes what is there without waiting.
    fn read_chunk(&self, progress: &mut Progress) -> Result<Chunk> {
        let mut chunk = Chunk { ends: std::mem::take(&mut progress.begun), ..Chunk::default() };
        let mut wait = POLL;
        while let Some(polled) = self.client.poll(wait) {
            wait = Duration::ZERO;
            match polled {
                Ok(message) => self.take(&message, progress, &mut chunk)?,
                Err(error) => self.note(&error, progress)?,
            }
            if chunk.is_full() {
                break;
            }
        }
        self.take_ends(progress, &mut chunk);
        Ok(chunk)
    }

    fn take(&self, message: &BorrowedMessage<'_>, progress: &mut Progress, chunk: &mut Chunk) -> Result<()> {
        let Some(topic) = self.names.topic(message.topic()) else { return Ok(()) };
        let at = TopicPartition { topic, partition: u32::try_from(message.partition()).unwrap_or(u32::MAX) };
        let Some(known) = progress.reading.get_mut(&at) else { return Ok(()) };
        // Producers may write any number; nothing below has to reckon with a time before there was time.
        let time = message.timestamp().to_millis().map(|time| time.max(0));
        if let Some(anchor) = known.anchor.take()
            && anchor.sight(message.offset(), time) == Sighting::Another
        {
            return self.meet_stranger(at, progress);
        }
        if message.offset() < known.next {
            return Ok(());
        }
        known.next = message.offset() + 1;
        chunk.push(self.decode(at, message, time));
        Ok(())
    }

    fn decode(&self, at: TopicPartition, message: &BorrowedMessage<'_>, time: Option<TimestampMs>) -> Record {
        let now_ms = (self.clock)();
        let (offset, time) = (message.offset(), time.unwrap_or(now_ms));
        decode::record(at, offset, time, message.key(), message.payload(), &self.decode, now_ms)
    }

    /// Another record stands where the last applied one stood: this is not the log we know.
    fn meet_stranger(&self, at: TopicPartition, progress: &mut Progress) -> Result<()> {
        let next = progress.reading.remove(&at).map_or(0, |known| known.next);
        let (log_start, log_end) = self.lag.extent(at);
        crate::gap::report(
            &self.lag,
            at,
            Gap { reason: GapReason::AnotherRecord, stored_offset: next, log_start, log_end },
        );
        self.unassign(std::iter::once(at))
    }

    /// Most errors mend themselves. A lost place in a log does not, and the library does not say in which one.
    fn note(&self, error: &KafkaError, progress: &Progress) -> Result<()> {
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return Err(Error::Kafka { what: "reading", detail: error.to_string() });
        }
        if matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::NoOffset)
        ) {
            self.mailbox.ask_recheck(progress.reading.iter().map(|(at, known)| (*at, known.next)).collect());
        }
        Ok(())
    }

    fn take_ends(&self, progress: &mut Progress, chunk: &mut Chunk) {
        for end in self.client.context().take_ends() {
            let Some(topic) = self.names.topic(&end.topic) else { continue };
            let at = TopicPartition { topic, partition: end.partition };
            if let Some(known) = progress.reading.get_mut(&at).filter(|known| known.next < end.offset) {
                *known = Reading { next: end.offset, anchor: None };
                chunk.ends.push((at, end.offset));
            }
        }
    }

    /// Hands a chunk on, waiting while the store is busy; `false` when nobody takes it any more.
    fn hand_on(&self, mut chunk: Chunk) -> bool {
        loop {
            match self.output.send_timeout(chunk, POLL) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(_)) if self.mailbox.is_stopped() => return false,
                Err(SendTimeoutError::Timeout(back)) => chunk = back,
            }
        }
    }
}

impl Chunk {
    fn push(&mut self, record: Record) {
        if let Outcome::Dead { key, value, .. } = &record.outcome {
            self.dead_bytes += key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len);
        }
        self.records.push(record);
    }
}

impl Reading {
    fn of(start: Start) -> Self {
        Self { next: start.next, anchor: start.anchor }
    }

    /// Where to assign the partition anew.
    fn from(&self) -> Offset {
        Offset::Offset(self.anchor.map_or(self.next, Anchor::offset))
    }
}
