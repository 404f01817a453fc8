//! Kafka into the store: gathers batches of decoded records and applies them, effects and offsets in one write.
//!
//! Nothing is ever skipped. A bad record is a dead letter, which is an effect; a topic that must not go on is paused
//! with its offset where it was; a store that refuses a write ends materializing, visibly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use edgefeed_storage::model::{Record, TimestampMs, Topic, TopicPartition};
use edgefeed_storage::{Stall, Store};

use crate::Clock;
use crate::brokers::Brokers;
use crate::client;
use crate::config::Config;
use crate::consumer::{CHUNK_RECORDS, Chunk, Reader};
use crate::error::Result;
use crate::lag::Lag;
use crate::mailbox::Mailbox;
use crate::measure;
use crate::names::Names;
use crate::threads::Threads;
use crate::watcher::Watcher;

/// How often what Kafka has dropped is dropped here too.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// How long a dropped materializer waits for its threads.
const DROP_WAIT: Duration = Duration::from_secs(5);

/// Follows Kafka into a store until stopped. The store must have no other writer.
#[derive(Debug)]
pub struct Materializer {
    lag: Arc<Lag>,
    mailbox: Arc<Mailbox>,
    threads: Threads,
}

impl Materializer {
    /// Starts to follow the configured topics into the store. `clock` tells UTC milliseconds.
    ///
    /// Returns at once; Kafka need not be there. Errors: [`Error::Config`](crate::Error::Config) for settings the Kafka library refuses,
    /// [`Error::Store`](crate::Error::Store), [`Error::Thread`](crate::Error::Thread).
    pub fn start(config: &Config, store: Arc<Store>, clock: Clock) -> Result<Self> {
        let client = Arc::new(client::consumer(config)?);
        let names = Names::new(config.topics.followed());
        let lag = Arc::new(Lag::new(names.all(), &store.positions()?, store.last_contact()?.as_ref()));
        let mailbox = Arc::new(Mailbox::default());
        let (output, input) = bounded((config.queue_records / CHUNK_RECORDS).max(1));
        let mut threads = Threads::new(&mailbox, &lag);
        let reader = Reader {
            client: Arc::clone(&client),
            names: names.clone(),
            decode: config.decode(store.ids()),
            clock: Arc::clone(&clock),
            lag: Arc::clone(&lag),
            mailbox: Arc::clone(&mailbox),
            output,
        };
        let brokers = Brokers {
            client,
            names,
            clock: Arc::clone(&clock),
            lag: Arc::clone(&lag),
            timeout: Duration::from_millis(config.request_timeout_ms),
        };
        let watcher = Watcher {
            brokers,
            store: Arc::clone(&store),
            mailbox: Arc::clone(&mailbox),
            poll: Duration::from_millis(config.watermark_poll_ms),
            refresh: Duration::from_millis(config.metadata_refresh_ms),
        };
        let applier = Applier {
            store,
            clock,
            lag: Arc::clone(&lag),
            mailbox: Arc::clone(&mailbox),
            input,
            batch_records: config.batch_records.max(1),
            batch_wait: Duration::from_millis(config.batch_wait_ms),
            stalled: BTreeSet::new(),
            forgotten: BTreeMap::new(),
        };
        threads.spawn("apply", move || applier.run())?;
        threads.spawn("read", move || reader.run())?;
        threads.spawn("watch", move || watcher.run())?;
        Ok(Self { lag, mailbox, threads })
    }

    /// What is known of lag and contact.
    pub fn lag(&self) -> Arc<Lag> {
        Arc::clone(&self.lag)
    }

    /// Stops following. What was read is applied or left for the next start; either way offsets and effects agree.
    ///
    /// Errors: what had ended materializing before, if anything; [`Error::StopTimedOut`](crate::Error::StopTimedOut) after `deadline`.
    pub fn stop(mut self, deadline: Duration) -> Result<()> {
        self.mailbox.stop();
        self.threads.join(deadline)
    }
}

impl Drop for Materializer {
    fn drop(&mut self) {
        if self.mailbox.is_stopped() && self.threads.was_waited_for() {
            return;
        }
        self.mailbox.stop();
        if let Err(error) = self.threads.join(DROP_WAIT) {
            tracing::warn!("stopping the materializer: {error}");
        }
    }
}

/// The one writer of the store.
struct Applier {
    store: Arc<Store>,
    clock: Clock,
    lag: Arc<Lag>,
    mailbox: Arc<Mailbox>,
    input: Receiver<Chunk>,
    batch_records: usize,
    batch_wait: Duration,
    stalled: BTreeSet<Topic>,
    forgotten: BTreeMap<TopicPartition, i64>,
}

/// Records gathered for one write, and ends of partitions met behind them.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    ends: BTreeMap<TopicPartition, i64>,
}

impl Applier {
    /// Applies what the reader hands on until it hands on nothing more.
    fn run(mut self) -> Result<()> {
        let mut next_housekeeping = Instant::now() + HOUSEKEEPING;
        loop {
            match self.input.recv_timeout(HOUSEKEEPING) {
                Ok(chunk) => {
                    let batch = self.gather(chunk);
                    self.apply(batch)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if Instant::now() >= next_housekeeping {
                self.forget()?;
                next_housekeeping = Instant::now() + HOUSEKEEPING;
            }
        }
    }

    /// Adds what is waiting to a first chunk. Once nothing is, the batch goes: a lone record is not kept waiting.
    fn gather(&self, first: Chunk) -> Batch {
        let begun = Instant::now();
        let mut batch = Batch::default();
        self.add(first, &mut batch);
        while batch.records.len() < self.batch_records && begun.elapsed() < self.batch_wait {
            match self.input.try_recv() {
                Ok(chunk) => self.add(chunk, &mut batch),
                Err(_) => break,
            }
        }
        batch
    }

    fn add(&self, chunk: Chunk, batch: &mut Batch) {
        let Chunk { records, ends, .. } = chunk;
        if self.stalled.is_empty() {
            batch.records.extend(records);
        } else {
            batch.records.extend(records.into_iter().filter(|record| !self.stalled.contains(&record.at.topic)));
        }
        batch.ends.extend(ends);
    }

    fn apply(&mut self, batch: Batch) -> Result<()> {
        if !batch.records.is_empty() {
            let begun = Instant::now();
            let applied = self.store.apply(&batch.records, (self.clock)())?;
            measure::applied(&applied, begun.elapsed());
            for stall in &applied.stalls {
                self.stall(stall);
            }
            self.tell_lag(&batch.records, &applied.stalls)?;
        }
        for (at, next) in batch.ends {
            if !self.stalled.contains(&at.topic) {
                self.store.advance(at, next, (self.clock)())?;
                self.lag.passed(at, next);
            }
        }
        Ok(())
    }

    fn stall(&mut self, stall: &Stall) {
        tracing::error!(
            topic = stall.at.topic.name(),
            partition = stall.at.partition,
            offset = stall.offset,
            reason = stall.reason.name(),
            "topic stopped, nothing is lost: {}",
            stall.detail
        );
        self.stalled.insert(stall.at.topic);
        self.mailbox.order(|orders| {
            orders.pause.insert(stall.at.topic);
        });
        self.lag.stalled(stall.clone());
    }

    /// Tells how far each partition has come, and how long visible records took.
    fn tell_lag(&self, records: &[Record], stalls: &[Stall]) -> Result<()> {
        let now_ms = (self.clock)();
        let mut news: BTreeMap<TopicPartition, (i64, TimestampMs)> = BTreeMap::new();
        for record in records {
            news.insert(record.at, (record.offset + 1, record.time));
        }
        if !stalls.is_empty() {
            // Of a stalled topic only the store knows how far it came.
            let stored = self.store.positions()?;
            news.retain(|at, _| !self.stalled.contains(&at.topic));
            let stalled = stored.iter().filter(|(at, _)| self.stalled.contains(&at.topic));
            news.extend(stalled.map(|(at, position)| (*at, (position.next_offset, position.last_time))));
        }
        if self.lag.caught_up() {
            let visible = records.iter().filter(|record| !self.stalled.contains(&record.at.topic));
            measure::visible(visible.map(|record| now_ms - record.time));
        }
        self.lag.applied(&news, now_ms);
        Ok(())
    }

    /// Lets the store drop what only records that Kafka no longer has could ask for.
    fn forget(&mut self) -> Result<()> {
        for (at, log_start) in self.lag.log_starts() {
            if self.forgotten.get(&at).is_none_or(|known| *known < log_start) && log_start > 0 {
                self.store.forget_below(at, log_start)?;
                self.forgotten.insert(at, log_start);
            }
        }
        Ok(())
    }
}
