//! How far this node is behind Kafka, and whether it hears from it at all. Shared by the threads of this crate, which
//! write it, and by everything that answers questions about freshness, which reads it.

mod barrier;
mod partition;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use edgefeed_storage::{Contact, Position, Stall};
use serde_json::Value;
use tokio::sync::Notify;

use crate::start::{Extent, Gap};
use state::{Presence, State};

pub use barrier::Barrier;

/// What is known of lag and contact.
#[derive(Debug)]
pub struct Lag {
    state: Mutex<State>,
    changed: Condvar,
    /// The same for those who block no thread.
    news: Notify,
}

/// Questions, for everyone.
impl Lag {
    /// Everything written to Kafka until then (UTC milliseconds) has been applied. A partition read to its end counts
    /// as fresh through the last contact, another one through its last applied record; the oldest partition decides.
    /// Partitions with a gap are left out, as [`Lag::gaps`] tells. `None` until enough is known.
    pub fn applied_through(&self, now_ms: TimestampMs) -> Option<TimestampMs> {
        self.state().applied_through(now_ms)
    }

    /// How old the state is, in milliseconds: now minus [`Lag::applied_through`].
    pub fn staleness_ms(&self, now_ms: TimestampMs) -> Option<i64> {
        self.applied_through(now_ms).map(|through| (now_ms - through).max(0))
    }

    /// Whether everything that stood in Kafka at the first contact since start has been applied. Once true, stays so.
    /// Partitions with a gap and stalled topics are left out; a missing required topic holds it back.
    pub fn caught_up(&self) -> bool {
        self.state().caught_up
    }

    /// Whether there is anything to answer from: a record was applied, now or before the start, or all there is in Kafka
    /// was read and it was nothing.
    pub fn holds_anything(&self) -> bool {
        let state = self.state();
        state.applied || state.caught_up
    }

    /// The offset after everything applied of a partition; `None` for one never heard of.
    pub fn applied_to(&self, at: TopicPartition) -> Option<i64> {
        self.state().partitions.get(&at).map(|partition| partition.next)
    }

    /// Waits until everything below `next_offset` is applied, or `timeout` has passed; tells which.
    pub fn wait_applied(&self, at: TopicPartition, next_offset: i64, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.partitions.get(&at).is_some_and(|known| known.next >= next_offset))
    }

    /// Whether everything below these offsets is applied.
    pub fn has_reached(&self, goals: &[(TopicPartition, i64)]) -> bool {
        let state = self.state();
        goals.iter().all(|(at, next)| state.partitions.get(at).is_some_and(|known| known.next >= *next))
    }

    /// Waits as [`Lag::wait_applied`] does for several partitions at once, and blocks no thread.
    pub async fn reached(&self, goals: &[(TopicPartition, i64)], timeout: Duration) -> bool {
        let reached = async {
            loop {
                let news = self.news.notified();
                let mut news = std::pin::pin!(news);
                // Before the look, so that nothing is missed in between.
                news.as_mut().enable();
                if self.has_reached(goals) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(timeout, reached).await.is_ok()
    }

    /// Waits for the first catch-up, or until `timeout` has passed; tells which.
    pub fn wait_caught_up(&self, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.caught_up)
    }

    /// The partitions that are not followed because that would leave a hole.
    pub fn gaps(&self) -> Vec<(TopicPartition, Gap)> {
        let state = self.state();
        let gaps = state.partitions.iter().filter_map(|(at, partition)| match partition.following {
            partition::Following::Gap(gap) => Some((*at, gap)),
            _ => None,
        });
        gaps.collect()
    }

    /// The topics whose effects have stopped.
    pub fn stalls(&self) -> Vec<Stall> {
        self.state().topics.values().filter_map(|topic| topic.stall.clone()).collect()
    }

    /// The required topics Kafka does not have, by their Kafka names.
    pub fn missing_topics(&self) -> Vec<String> {
        let state = self.state();
        let missing =
            state.topics.values().filter(|topic| topic.required && matches!(topic.presence, Presence::Missing(_)));
        missing.map(|topic| topic.kafka_name.clone()).collect()
    }

    /// Why materializing has ended for good, when it has.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// All of it in JSON, for `/status`.
    pub fn snapshot(&self, now_ms: TimestampMs) -> Value {
        snapshot::snapshot(&self.state(), now_ms)
    }
}

impl Default for Lag {
    /// The lag of a store that follows nothing: for tools and tests.
    fn default() -> Self {
        Self::new(&[], &BTreeMap::new(), None)
    }
}

impl Lag {
    /// The lag of a store to which nothing is written but what its owner applies: whole, and always of now. For tools and
    /// tests.
    pub fn of_whole_store() -> Self {
        let lag = Self::default();
        lag.update(|state| {
            state.last_contact = Some(TimestampMs::MAX);
            state.latch();
        });
        lag
    }
}

/// News, from the threads of this crate.
impl Lag {
    /// What a store that stands at these positions knows before any contact. `noted` is the last contact before.
    pub(crate) fn new(
        followed: &[(Topic, String)],
        positions: &BTreeMap<TopicPartition, Position>,
        noted: Option<&Contact>,
    ) -> Self {
        Self { state: Mutex::new(State::new(followed, positions, noted)), changed: Condvar::new(), news: Notify::new() }
    }

    pub(crate) fn topic_there(&self, topic: Topic) {
        self.set_presence(topic, Presence::There);
    }

    pub(crate) fn topic_missing(&self, topic: Topic, detail: String) {
        self.set_presence(topic, Presence::Missing(detail));
    }

    fn set_presence(&self, topic: Topic, presence: Presence) {
        self.update(|state| {
            if let Some(known) = state.topics.get_mut(&topic) {
                known.presence = presence;
            }
        });
    }

    /// All partitions that a topic had at `as_of` are known.
    pub(crate) fn complete(&self, topic: Topic, as_of: TimestampMs) {
        self.update(|state| {
            if let Some(known) = state.topics.get_mut(&topic) {
                known.complete_at = known.complete_at.max(Some(as_of));
            }
        });
    }

    pub(crate) fn started(&self, at: TopicPartition, next: i64) {
        self.update(|state| state.started(at, next));
    }

    pub(crate) fn gap(&self, at: TopicPartition, gap: Gap) {
        self.update(|state| state.gap(at, gap));
    }

    pub(crate) fn heard(&self, logs: &[(TopicPartition, Extent)], as_of: TimestampMs) {
        self.update(|state| {
            for (at, log) in logs {
                state.heard(*at, *log, as_of);
            }
            state.latch();
        });
    }

    pub(crate) fn applied(&self, news: &BTreeMap<TopicPartition, (i64, TimestampMs)>, now_ms: TimestampMs) {
        self.update(|state| {
            for (at, (next, time)) in news {
                let partition = state.partitions.entry(*at).or_insert_with(|| partition::Partition::new(*next));
                partition.applied(*next, *time, now_ms);
                state.applied = true;
            }
            state.latch();
        });
    }

    pub(crate) fn passed(&self, at: TopicPartition, next: i64) {
        self.update(|state| {
            if let Some(partition) = state.partitions.get_mut(&at) {
                partition.passed(next);
            }
            state.latch();
        });
    }

    pub(crate) fn stalled(&self, stall: Stall) {
        self.update(|state| {
            if let Some(topic) = state.topics.get_mut(&stall.at.topic) {
                topic.stall = Some(stall);
            }
            state.latch();
        });
    }

    pub(crate) fn failed(&self, failure: String) {
        self.update(|state| state.failure = Some(failure));
    }

    pub(crate) fn contact(&self, now_ms: TimestampMs) {
        self.update(|state| {
            state.last_contact = state.last_contact.max(Some(now_ms));
            state.contact_error = None;
        });
    }

    pub(crate) fn no_contact(&self, error: String) {
        self.update(|state| state.contact_error = Some(error));
    }

    /// How far the store is known to be whole, to be noted in it; `None` until enough is known.
    pub(crate) fn contact_so_far(&self, now_ms: TimestampMs) -> Option<Contact> {
        let state = self.state();
        let through = state.applied_through(now_ms)?;
        Some(Contact { through, topics: state.topics.keys().copied().collect() })
    }

    /// For gauges: of each topic the age in milliseconds, of each partition the records left.
    pub(crate) fn gauges(&self, now_ms: TimestampMs) -> Vec<(TopicPartition, Option<i64>, Option<i64>)> {
        let state = self.state();
        state.partitions.iter().map(|(at, known)| (*at, known.lag_ms(now_ms), known.lag_records())).collect()
    }

    /// The first offset a partition's log keeps and the one after its last record, as last heard; −1 when never.
    pub(crate) fn extent(&self, at: TopicPartition) -> (i64, i64) {
        let log = self.state().partitions.get(&at).and_then(|known| known.log);
        log.map_or((-1, -1), |(log, _)| (log.start, log.end))
    }

    /// The log starts last heard.
    pub(crate) fn log_starts(&self) -> BTreeMap<TopicPartition, i64> {
        let state = self.state();
        state.partitions.iter().filter_map(|(at, known)| Some((*at, known.log?.0.start))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; if something did, lag would still be worth telling.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
        self.news.notify_waiters();
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
