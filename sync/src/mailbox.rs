//! What the threads of this crate leave for one another, apart from the records. Everything here merges, so nothing
//! can pile up and nobody waits for a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use edgefeed_storage::model::{Topic, TopicPartition};

use crate::start::Start;

/// What the consumer is to do before it polls again.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Begin with these partitions.
    pub(crate) start: BTreeMap<TopicPartition, Start>,
    /// Stop reading these.
    pub(crate) drop: BTreeSet<TopicPartition>,
    /// Keep these assigned and read nothing of them.
    pub(crate) pause: BTreeSet<Topic>,
    /// Read everything again from where it stands: the library gave up on some partition.
    pub(crate) restart: bool,
}

#[derive(Debug, Default)]
struct Inside {
    orders: Orders,
    /// The consumer's offsets, when it asks for them to be compared with the logs.
    recheck: Option<BTreeMap<TopicPartition, i64>>,
    stop: bool,
}

/// The mailbox of one materializer's threads.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inside: Mutex<Inside>,
    watcher: Condvar,
}

impl Mailbox {
    /// Leaves orders for the consumer.
    pub(crate) fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut self.inside().orders);
    }

    /// Takes the orders left so far.
    pub(crate) fn take_orders(&self) -> Orders {
        std::mem::take(&mut self.inside().orders)
    }

    /// Asks the watcher to compare these offsets with the logs soon.
    pub(crate) fn ask_recheck(&self, offsets: BTreeMap<TopicPartition, i64>) {
        self.inside().recheck = Some(offsets);
        self.watcher.notify_all();
    }

    /// Takes what is to be compared.
    pub(crate) fn take_recheck(&self) -> Option<BTreeMap<TopicPartition, i64>> {
        self.inside().recheck.take()
    }

    /// Asks all threads to end.
    pub(crate) fn stop(&self) {
        self.inside().stop = true;
        self.watcher.notify_all();
    }

    /// Whether all threads are asked to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.inside().stop
    }

    /// Lets the watcher wait until it is asked for something or `time` has passed.
    pub(crate) fn rest(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut inside = self.inside();
        while !inside.stop && inside.recheck.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            inside = self.watcher.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
