//! Queries under way for one reader each: a second request joins the first one's.

use edgefeed_storage::model::Id;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// What came of asking for a reader's history.
#[derive(Debug)]
pub(super) enum Departure {
    /// It is being asked for.
    Waiting(Flight),
    /// It came a moment ago.
    Landed,
    /// It is not asked for now: the center is better left alone, is busy enough with us, or could not be asked rightly.
    Refused,
}

/// One query under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// When it set out: no request waits longer than the budget from then on.
    pub(super) started: Instant,
    landed: watch::Receiver<()>,
}

impl Flight {
    /// Waits until it is over, whatever came of it.
    pub(super) async fn landed(mut self) {
        // Nothing is ever sent: that the sender is gone is the news.
        while self.landed.changed().await.is_ok() {}
    }
}

/// All of them, at most as many as there are slots.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Id, (Flight, Option<AbortHandle>)>>);

/// Held by the task that flies; dropped, it lets everybody know.
#[derive(Debug)]
pub(super) struct Ticket {
    _sender: watch::Sender<()>,
}

impl Flights {
    /// The reader's flight, or a new one if `may` lets it: then what `may` gave, and the ticket.
    pub(super) fn join<T>(
        &self,
        reader: Id,
        may: impl FnOnce() -> Result<T, Departure>,
    ) -> Result<(T, Ticket), Departure> {
        let mut all = self.0.lock();
        if let Some((flight, _)) = all.get(&reader) {
            return Err(Departure::Waiting(flight.clone()));
        }
        let leave = may()?;
        let (sender, landed) = watch::channel(());
        all.insert(reader, (Flight { started: Instant::now(), landed }, None));
        Ok((leave, Ticket { _sender: sender }))
    }

    /// The task that flies; the flight itself, if it is not over already.
    pub(super) fn taken_by(&self, reader: Id, task: AbortHandle) -> Option<Flight> {
        let mut all = self.0.lock();
        let (flight, slot) = all.get_mut(&reader)?;
        *slot = Some(task);
        Some(flight.clone())
    }

    pub(super) fn land(&self, reader: Id) {
        self.0.lock().remove(&reader);
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Ends all of them where they are.
    pub(super) fn stop(&self) {
        for (_, (_, task)) in self.0.lock().drain() {
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}
