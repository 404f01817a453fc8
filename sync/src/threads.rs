//! Threads that end together: when one fails, the others are asked to stop, and the failure is kept and told.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, Result};
use crate::lag::Lag;
use crate::mailbox::Mailbox;

/// The threads of one materializer.
#[derive(Debug)]
pub(crate) struct Threads {
    mailbox: Arc<Mailbox>,
    lag: Arc<Lag>,
    running: Vec<(&'static str, JoinHandle<Result<()>>)>,
    /// Nothing is ever sent: every thread holds a sender, and the channel closes when the last one has ended.
    done: Receiver<()>,
    alive: Option<Sender<()>>,
}

impl Threads {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, lag: &Arc<Lag>) -> Self {
        let (alive, done) = bounded(0);
        Self { mailbox: Arc::clone(mailbox), lag: Arc::clone(lag), running: Vec::new(), done, alive: Some(alive) }
    }

    /// Runs `work` in a thread of its own. A failure asks the other threads to stop and becomes the lag's failure.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let guard = Guard { mailbox: Arc::clone(&self.mailbox), lag: Arc::clone(&self.lag), name, ended: false };
        let alive = self.alive.clone();
        let spawned = std::thread::Builder::new().name(format!("kafka-{name}")).spawn(move || {
            let _alive = alive;
            let mut guard = guard;
            let ended = work();
            guard.ended = true;
            if let Err(error) = &ended {
                guard.fail(&error.to_string());
            }
            ended
        });
        match spawned {
            Ok(handle) => {
                self.running.push((name, handle));
                Ok(())
            }
            Err(source) => {
                self.mailbox.stop();
                Err(Error::Thread { what: name, source })
            }
        }
    }

    /// Whether [`Threads::join`] was called: what has not ended by then ends by itself.
    pub(crate) fn was_waited_for(&self) -> bool {
        self.alive.is_none()
    }

    /// Waits for all threads, at most `deadline`; the first failure among them is returned.
    pub(crate) fn join(&mut self, deadline: Duration) -> Result<()> {
        let begun = Instant::now();
        self.alive = None;
        if self.done.recv_timeout(deadline) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            return Err(Error::StopTimedOut { waited_ms: begun.elapsed().as_millis() });
        }
        let mut first = Ok(());
        for (what, handle) in self.running.drain(..) {
            let ended = handle.join().unwrap_or(Err(Error::Panicked { what }));
            first = first.and(ended);
        }
        first
    }
}

/// Tells of a thread that ends in a panic.
struct Guard {
    mailbox: Arc<Mailbox>,
    lag: Arc<Lag>,
    name: &'static str,
    ended: bool,
}

impl Guard {
    fn fail(&self, reason: &str) {
        tracing::error!(thread = self.name, "materializing has ended: {reason}");
        self.lag.failed(reason.to_owned());
        self.mailbox.stop();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.ended {
            self.fail("a panic, which is a bug");
        }
    }
}
