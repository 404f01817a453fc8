//! One range into the center: dead letters first, then the rows under their token, again and again until they are
//! there. Never skips, never gives up; only a partition that went to another node ends it early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError};
use edgefeed_storage::model::TopicPartition;
use metrics::{counter, histogram};

use super::board::Board;
use super::gather::{Bad, Sealed};
use super::range::{Range, Scope};
use super::retry::{Retry, Step};
use crate::breaker::{Breaker, State};
use crate::center::{Center, Class, Encoded, Error, Table};
use crate::dead_letters::{DeadLetterTopic, Letter};

/// An insert that takes longer than this counts as slow for the breaker.
const SLOW: Duration = Duration::from_secs(5);
/// How long dead letters may take to be acknowledged; longer than the producer itself tries.
const LETTERS_PATIENCE: Duration = Duration::from_secs(60);
/// How soon a thread that is busy is told again.
const DONE_LOOK: Duration = Duration::from_millis(5);
/// How often a closed door is tried.
const BREAKER_LOOK: Duration = Duration::from_millis(100);

/// What writing stands on.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) center: Arc<Center>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) letters: DeadLetterTopic,
    pub(crate) board: Arc<Board>,
    pub(crate) cluster: String,
    pub(crate) group: String,
    pub(crate) node: String,
    pub(crate) done: Sender<Done>,
}

/// A range is in the center.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) at: TopicPartition,
    pub(crate) range: Range,
    /// What the center answered: it can slow the flow down.
    pub(crate) crowded: bool,
}

/// One range to be written.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) at: TopicPartition,
    pub(crate) topic: String,
    pub(crate) table: Table,
    pub(crate) sealed: Sealed,
    /// The range was found written ahead: somebody may have sent it before.
    pub(crate) adopted: bool,
    /// Set when the partition is no longer this node's.
    pub(crate) dropped: Arc<AtomicBool>,
}

impl Job {
    fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }
}

impl Writer {
    /// Writes one range; tells when it is there, or says nothing when the partition was dropped meanwhile.
    pub(crate) async fn write(self: Arc<Self>, mut job: Job) {
        let letters = std::mem::take(&mut job.sealed.letters);
        if !letters.is_empty() && !self.bury(&job, letters).await {
            return;
        }
        let Some(crowded) = self.send(&mut job).await else { return };
        self.board.clear(job.at);
        counter!("edgefeed_sink_rows_total", "table" => job.table.name()).increment(job.sealed.rows);
        let mut done = Done { at: job.at, range: job.sealed.range, crowded };
        // Nobody takes it any more when the sink has stopped: the next owner sends the range again.
        while let Err(TrySendError::Full(back)) = self.done.try_send(done) {
            tokio::time::sleep(DONE_LOOK).await;
            done = back;
        }
    }

    /// Brings bad records to their topic; `false` when the partition was dropped meanwhile.
    async fn bury(self: &Arc<Self>, job: &Job, letters: Vec<Bad>) -> bool {
        let (mut retry, letters) = (Retry::default(), Arc::new(letters));
        loop {
            let (writer, letters) = (Arc::clone(self), Arc::clone(&letters));
            let (topic, partition) = (job.topic.clone(), job.at.partition);
            let sent = tokio::task::spawn_blocking(move || writer.send_letters(&topic, partition, &letters)).await;
            let error = match sent {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if job.is_dropped() {
                return false;
            }
            self.board.stall(job.at, job.table, "dead_letter_topic", &error);
            if !self.pause(job, retry.wait()).await {
                return false;
            }
        }
    }

    /// Sends dead letters and waits until all are acknowledged. Blocks.
    fn send_letters(&self, topic: &str, partition: u32, letters: &[Bad]) -> crate::Result<()> {
        let (tell, told) = crossbeam_channel::bounded(letters.len());
        for bad in letters {
            let letter = Letter {
                topic,
                partition,
                offset: bad.offset,
                time: bad.time,
                key: bad.raw.key.as_deref(),
                value: bad.raw.value.as_deref().unwrap_or_default(),
                reason: bad.reason,
                detail: &bad.detail,
                node: &self.node,
            };
            let tell = tell.clone();
            // There is room for every answer; the reader may have gone with the first failure.
            self.letters.send_then(&letter, move |fate| drop(tell.try_send(fate)))?;
        }
        let deadline = Instant::now() + LETTERS_PATIENCE;
        for _ in letters {
            let left = deadline.saturating_duration_since(Instant::now());
            told.recv_timeout(left).map_err(|_| crate::Error::FlushTimedOut)??;
        }
        Ok(())
    }

    /// Sends the rows until the center has them; whether it asked for larger inserts on the way. `None` when the
    /// partition was dropped meanwhile.
    async fn send(&self, job: &mut Job) -> Option<bool> {
        if job.sealed.rows == 0 && job.sealed.truncate.is_none() {
            return Some(false);
        }
        let token = job.sealed.range.token(Scope {
            cluster: &self.cluster,
            group: &self.group,
            table: job.table.name(),
            topic: &job.topic,
            partition: job.at.partition,
        });
        let rows = Encoded::new(std::mem::take(&mut job.sealed.body));
        let (mut retry, mut crowded) = (Retry::default(), false);
        let mut sent_before = job.adopted;
        loop {
            if job.is_dropped() {
                return None;
            }
            let error = match self.attempt(job, &rows, &token, &mut sent_before).await {
                Ok(true) => return Some(crowded),
                Ok(false) => {
                    tokio::time::sleep(BREAKER_LOOK).await;
                    continue;
                }
                Err(error) => error,
            };
            if job.is_dropped() {
                return None;
            }
            counter!("edgefeed_sink_retries_total").increment(1);
            crowded |= error.wants_larger_inserts();
            let wait = match retry.after(error.class(), Instant::now()) {
                Step::Again(wait) => {
                    tracing::warn!(table = job.table.name(), %token, "an insert failed and is tried again: {error}");
                    wait
                }
                Step::Stall { reason, wait } => {
                    self.board.stall(job.at, job.table, reason, &error.to_string());
                    wait
                }
            };
            if !self.pause(job, wait).await {
                return None;
            }
        }
    }

    /// One attempt; `Ok(false)` when the breaker does not let it.
    async fn attempt(&self, job: &Job, rows: &Encoded, token: &str, sent_before: &mut bool) -> Result<bool, Error> {
        let Some(permit) = self.breaker.acquire() else { return Ok(false) };
        // A probe is small: a hanging center must not take a whole insert, and its time, to be found out.
        if self.breaker.state() != State::Closed
            && let Err(error) = self.center.ping().await
        {
            permit.failure();
            return Err(error);
        }
        if std::mem::replace(sent_before, true) {
            counter!("edgefeed_sink_token_replays_total").increment(1);
        }
        let begun = Instant::now();
        let outcome = self.deliver(job, rows, token).await;
        histogram!("edgefeed_sink_insert_duration_seconds").record(begun.elapsed().as_secs_f64());
        match &outcome {
            Ok(()) if begun.elapsed() > SLOW => permit.slow(),
            // A center that answers is there, even when it refuses.
            Ok(()) => permit.success(),
            Err(error)
                if matches!(error, Error::Refused { code: Some(_), .. }) && error.class() != Class::Transient =>
            {
                permit.success();
            }
            Err(_) => permit.failure(),
        }
        outcome.map(|()| true)
    }

    async fn deliver(&self, job: &Job, rows: &Encoded, token: &str) -> Result<(), Error> {
        if let Some(version) = job.sealed.truncate {
            self.center.truncate(job.table, version).await?;
        }
        if job.sealed.rows > 0 {
            self.center.insert(job.table, rows, token).await?;
        }
        Ok(())
    }

    /// Waits; `false` when the partition was dropped meanwhile.
    async fn pause(&self, job: &Job, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while Instant::now() < until && !job.is_dropped() {
            tokio::time::sleep(BREAKER_LOOK.min(wait)).await;
        }
        !job.is_dropped()
    }
}
