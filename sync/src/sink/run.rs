//! The sink's thread: takes its seat in the group, reads its share, seals ranges, commits, launches writes.
//!
//! One thread does everything that decides; writing itself is done by tasks that report back. So no commit is ever on
//! its way while partitions change hands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use edgefeed_storage::model::{TimestampMs, TopicPartition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::begin::Refused;
use super::committer::Committed;
use super::gather::{Limit, Raw};
use super::group::{Change, Seat};
use super::parts::{Begun, Behind, Parts};
use super::share::Share;
use super::status::{Resume, ResumeError, Resumed};
use super::write::{Done, Job, Writer};
use crate::decode;
use crate::error::{Error, Result};

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(10);
/// Records taken between two looks at everything else.
const STRIDE: usize = 4_096;
/// How often what could not begin is looked at again.
const PLAN_EVERY: Duration = Duration::from_secs(3);
/// How soon a commit whose fate is unknown is tried again.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);
/// How often numbers are told.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How long a stop waits for what is under way.
const FINISH_PATIENCE: Duration = Duration::from_secs(8);
/// How long a node that was fenced waits for its group before it takes a new seat.
const FENCED_PATIENCE: Duration = Duration::from_secs(30);

/// An order of an operator, and where the answer goes.
pub(crate) type Order = (Resume, Sender<Result<Vec<Resumed>, ResumeError>>);

/// One seat's work.
pub(crate) struct Run<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) seat: Seat,
    pub(crate) writer: Arc<Writer>,
    pub(crate) done: Receiver<Done>,
    pub(crate) orders: &'a Receiver<Order>,
    pub(crate) shares: BTreeMap<TopicPartition, Share>,
    /// Assigned, and not begun: why, where that is known.
    pub(crate) waiting: BTreeMap<TopicPartition, Option<Refused>>,
    next_plan: Instant,
    next_commit: Instant,
    next_tell: Instant,
    /// Since when partitions have had records that the center lacks.
    behind: Behind,
    fenced_at: Option<Instant>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        parts: &'a Parts,
        seat: Seat,
        writer: Arc<Writer>,
        done: Receiver<Done>,
        orders: &'a Receiver<Order>,
    ) -> Self {
        let now = Instant::now();
        Self {
            parts,
            seat,
            writer,
            done,
            orders,
            shares: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_plan: now,
            next_commit: now,
            next_tell: now,
            behind: Behind::default(),
            fenced_at: None,
        }
    }

    /// Works until asked to stop, or until this seat is good for nothing any more.
    pub(crate) fn work(&mut self) -> Result<()> {
        while !self.parts.is_stopped() {
            self.follow_changes();
            self.plan()?;
            self.obey();
            self.take_done();
            self.read()?;
            self.seal()?;
            self.commit();
            self.launch();
            self.hold()?;
            self.tell();
            if self.fenced_at.is_some_and(|at| at.elapsed() > FENCED_PATIENCE) {
                return Err(Error::Kafka { what: "the sink's group", detail: "no seat after a fence".to_owned() });
            }
        }
        self.finish();
        Ok(())
    }

    fn follow_changes(&mut self) {
        for change in self.seat.changes() {
            tracing::info!(?change, "the sink's share of the group changed");
            self.fenced_at = None;
            self.let_go();
            self.waiting.clear();
            if let Change::Assigned(partitions) = change {
                self.waiting = partitions.into_iter().map(|at| (at, None)).collect();
                self.next_plan = Instant::now();
            }
        }
    }

    /// Drops everything under way: whoever owns the partitions next finds the ranges in the group.
    fn let_go(&mut self) {
        self.shares.clear();
        self.parts.board.forget();
    }

    /// Looks where to begin in partitions that were assigned and have not begun.
    fn plan(&mut self) -> Result<()> {
        if self.waiting.is_empty() || Instant::now() < self.next_plan {
            return Ok(());
        }
        self.next_plan = Instant::now() + PLAN_EVERY;
        let partitions: Vec<_> = self.waiting.keys().copied().collect();
        let begun = self.parts.plan(&self.seat, &partitions);
        let mut fresh = false;
        for (at, outcome) in begun {
            match outcome {
                Begun::Yes(share) => {
                    self.waiting.remove(&at);
                    self.parts.board.clear(at);
                    self.shares.insert(at, *share);
                    fresh = true;
                }
                Begun::Refused(refused) => {
                    self.parts.stall(at, refused.reason, &refused.detail);
                    self.waiting.insert(at, Some(refused));
                }
                Begun::NotYet(why) => tracing::debug!(?at, "the sink cannot begin yet: {why}"),
            }
        }
        if fresh { self.read_from() } else { Ok(()) }
    }

    /// Reads every share from where it stands.
    fn read_from(&mut self) -> Result<()> {
        for share in self.shares.values_mut() {
            // A partition that is assigned anew is fetched anew, though the library remembers that it was paused.
            share.held = false;
        }
        self.seat.read_from(self.shares.values().map(|share| (share.at, share.seen)))?;
        let all: Vec<_> = self.shares.keys().copied().collect();
        self.seat.hold(&all, false)
    }

    fn obey(&mut self) {
        while let Ok((order, answer)) = self.orders.try_recv() {
            let waiting: Vec<_> =
                self.waiting.iter().filter_map(|(at, why)| Some((*at, why.as_ref()?.clone()))).collect();
            let outcome = self.parts.resume(&self.seat, &order, &waiting);
            self.next_plan = Instant::now();
            // Whoever asked may have gone away.
            drop(answer.try_send(outcome));
        }
    }

    fn take_done(&mut self) {
        while let Ok(Done { at, range, crowded }) = self.done.try_recv() {
            if let Some(share) = self.shares.get_mut(&at) {
                share.written(range, crowded);
                // The group hears of it at once, and of the next range with it.
                self.next_commit = Instant::now();
            }
        }
    }

    fn read(&mut self) -> Result<()> {
        let mut wait = POLL;
        // One clock for all that is taken together: reading it costs as much as a tenth of a record.
        let now = (Instant::now(), (self.parts.clock)());
        for _ in 0..STRIDE {
            match self.seat.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let at = self.parts.names.partition(message.topic(), message.partition());
                    let share = at.and_then(|at| self.shares.get_mut(&at));
                    if let Some(share) = share.filter(|share| message.offset() >= share.seen) {
                        take(self.parts, share, &message, now);
                    }
                }
                Some(Err(error)) => {
                    if self.note(&error)? {
                        break;
                    }
                }
            }
            wait = Duration::ZERO;
        }
        for (at, end) in self.seat.ends() {
            if let Some(share) = self.shares.get_mut(&at) {
                share.passed(end);
            }
        }
        Ok(())
    }

    /// Most errors mend themselves. A lost place in a log does not: then everything is looked at anew.
    fn note(&mut self, error: &KafkaError) -> Result<bool> {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            let detail = match code {
                RDKafkaErrorCode::FencedInstanceId => {
                    "this node slept too long, or another one has its node.name: a name belongs to one node".to_owned()
                }
                other => other.to_string(),
            };
            return Err(Error::Kafka { what: "the sink's group", detail });
        }
        let lost = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::NoOffset)
        );
        if lost {
            tracing::warn!("the sink lost its place in a log: {error}");
            let again: Vec<_> = self.shares.keys().copied().collect();
            self.let_go();
            self.waiting.extend(again.into_iter().map(|at| (at, None)));
            self.next_plan = Instant::now() + PLAN_EVERY;
            self.read_from()?;
        }
        Ok(lost)
    }

    fn seal(&mut self) -> Result<()> {
        let (limit, now) = (self.limit(), Instant::now());
        for share in self.shares.values_mut() {
            if let Some(offset) = share.broken() {
                let detail = format!("of the last 10000 records most are bad, at offset {offset}");
                self.parts.stall(share.at, "bad_records", &detail);
            }
            let materialized = self.parts.lag.applied_to(share.at).unwrap_or(0);
            share.seal(limit, materialized, &self.parts.store, now)?;
        }
        Ok(())
    }

    fn commit(&mut self) {
        let commits: Vec<_> = self.shares.values().filter_map(Share::to_commit).collect();
        if commits.is_empty() || Instant::now() < self.next_commit {
            return;
        }
        for (at, fate) in self.seat.commit(&commits, || self.parts.is_stopped()) {
            match fate {
                Committed::Yes => {
                    if let Some(share) = self.shares.get_mut(&at) {
                        share.committed();
                        share.told();
                    }
                }
                Committed::Unknown => self.next_commit = Instant::now() + COMMIT_AGAIN,
                Committed::Fenced => {
                    tracing::warn!(?at, "the partition is another node's by now; what was begun is left to it");
                    self.shares.remove(&at);
                    self.fenced_at.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    fn launch(&mut self) {
        for share in self.shares.values_mut() {
            let Some((sealed, adopted)) = share.launch() else { continue };
            let job = Job {
                at: share.at,
                topic: share.source.topic.clone(),
                table: share.table,
                sealed,
                adopted,
                dropped: Arc::clone(&share.dropped),
            };
            self.parts.runtime.spawn(Arc::clone(&self.writer).write(job));
        }
    }

    /// How much one insert may take: the configured sizes, less where many partitions with something to write share the
    /// memory. A share holds a range under way and up to two gathered.
    fn limit(&self) -> Limit {
        let busy = self.shares.values().filter(|share| share.is_busy()).count();
        let each = self.parts.sink.memory_bytes / (3 * busy.max(1));
        Limit { rows: self.parts.sink.flush_rows, bytes: self.parts.sink.flush_bytes.min(each).max(64 << 10) }
    }

    /// Pauses fetching where two ranges are gathered, resumes where there is room for another.
    fn hold(&mut self) -> Result<()> {
        let limit = self.limit();
        let (mut stop, mut go) = (Vec::new(), Vec::new());
        for share in self.shares.values_mut() {
            let (rows, bytes) = (share.gathered.len(), share.gathered.weight());
            let full = rows >= limit.rows * 2 || bytes >= limit.bytes * 2;
            let room = rows < limit.rows && bytes < limit.bytes;
            if !share.held && full && !share.wants_more() {
                stop.push(share.at);
                share.held = true;
            } else if share.held && (room || share.wants_more()) {
                go.push(share.at);
                share.held = false;
            }
        }
        self.seat.hold(&stop, true)?;
        self.seat.hold(&go, false)
    }

    fn tell(&mut self) {
        if Instant::now() < self.next_tell {
            return;
        }
        self.next_tell = Instant::now() + TELL_EVERY;
        for share in self.shares.values_mut() {
            share.accepted = self.parts.accepted(share.at);
        }
        self.parts.tell(&self.shares, &self.waiting, &mut self.behind);
    }

    /// Lets what is under way end, and tells the group.
    fn finish(&mut self) {
        let deadline = Instant::now() + FINISH_PATIENCE;
        while Instant::now() < deadline && !self.shares.values().all(Share::is_quiet) {
            self.take_done();
            let commits: Vec<_> = self.shares.values().filter_map(Share::to_acknowledge).collect();
            if !commits.is_empty() {
                let fates = self.seat.commit(&commits, || self.parts.is_stopped());
                if fates.values().any(|fate| *fate != Committed::Yes) {
                    // Whoever owns the partitions next sends the ranges again: no reason to wait for brokers.
                    break;
                }
                for at in fates.keys() {
                    if let Some(share) = self.shares.get_mut(at) {
                        share.committed();
                    }
                }
            }
            // Keeps this node's place while it says goodbye; what comes is not looked at.
            drop(self.seat.consumer.poll(POLL));
        }
        self.let_go();
        self.seat.consumer.unsubscribe();
    }
}

/// Takes one record into its share.
fn take(parts: &Parts, share: &mut Share, message: &BorrowedMessage<'_>, (now, now_ms): (Instant, TimestampMs)) {
    let (offset, time) = (message.offset(), message.timestamp().to_millis().unwrap_or(now_ms).max(0));
    let (key, value) = (message.key(), message.payload());
    let read = decode::decode_whole(share.topic(), offset, time, key, value, &parts.decode, now_ms);
    let raw = || Raw { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) };
    let bad = share.gathered.push(&share.source, (offset, time), read, raw);
    share.took(offset, bad, now);
}
