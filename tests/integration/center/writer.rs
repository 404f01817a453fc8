//! Writes a log into Kafka at a pace while nodes live and die, and keeps what it has written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::kafka::Topics;
use super::log::{Author, Entry, Source};

const TICK: Duration = Duration::from_millis(5);

/// A log on its way into Kafka.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    topics: Arc<Topics>,
    written: Mutex<Written>,
    limit: AtomicUsize,
    stop: AtomicBool,
}

pub(crate) struct Written {
    pub(crate) author: Author,
    pub(crate) log: Vec<Entry>,
}

impl Writer {
    /// Writes so many records a second, but none before [`Writer::allow`] lets it.
    pub(crate) fn start(topics: Arc<Topics>, author: Author, rate: f64) -> Self {
        let written = Mutex::new(Written { author, log: Vec::new() });
        let shared = Arc::new(Shared { topics, written, limit: AtomicUsize::new(0), stop: AtomicBool::new(false) });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || for_thread.write(rate));
        Self { shared, thread: Some(thread) }
    }

    /// Lets it write so many records more.
    pub(crate) fn allow(&self, more: usize) {
        self.shared.limit.fetch_add(more, Ordering::Relaxed);
    }

    /// Waits until it has written all it may, and Kafka has it.
    pub(crate) async fn idle(&self) {
        while self.written().log.len() < self.shared.limit.load(Ordering::Relaxed) {
            assert!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "the writer has died");
            tokio::time::sleep(TICK).await;
        }
        self.shared.topics.delivered();
    }

    /// What it has written; it waits while this is held.
    pub(crate) fn written(&self) -> MutexGuard<'_, Written> {
        self.shared.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes these records in between.
    pub(crate) fn write(&self, make: impl FnOnce(&mut Author) -> Vec<Entry>) {
        let mut written = self.written();
        let entries = make(&mut written.author);
        self.shared.limit.fetch_add(entries.len(), Ordering::Relaxed);
        self.shared.send(&mut written, entries);
    }

    /// Ends the writing; everything that was written.
    pub(crate) fn finish(mut self) -> Vec<Entry> {
        self.end();
        std::mem::take(&mut self.written().log)
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }

    /// The offset after the last record of each partition that has any.
    pub(crate) fn ends(&self) -> BTreeMap<(Source, u32), i64> {
        self.written().author.ends().clone()
    }
}

impl Shared {
    fn write(&self, rate: f64) {
        let (mut due, mut last) = (0.0, Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            // What could not be written while it was not allowed is not made up for.
            due = (due + last.elapsed().as_secs_f64() * rate).min(rate / 10.0);
            last = Instant::now();
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            while due >= 1.0 && written.log.len() < self.limit.load(Ordering::Relaxed) {
                let entries = written.author.next();
                due -= entries.len() as f64;
                self.send(&mut written, entries);
            }
        }
    }

    fn send(&self, written: &mut Written, entries: Vec<Entry>) {
        for entry in entries {
            self.topics.send(&entry);
            written.log.push(entry);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}
