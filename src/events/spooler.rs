//! The thread that spools: whatever waits for it goes to disk in one write and one sync.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use edgefeed_storage::model::Event;
use edgefeed_storage::{SpoolBounds, Spooled, Store};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::now_ms;
use crate::failure::Failure;

/// Requests that may wait for the disk; one more waits to wait, within its own time.
const QUEUE: usize = 256;
/// Requests written together, at most.
const GROUP: usize = 64;

/// Events of one request, and where their fates are told; nothing is told when the store refuses.
struct Order {
    events: Vec<(Event, Vec<u8>)>,
    tell: oneshot::Sender<Vec<Spooled>>,
}

/// Takes events to disk.
#[derive(Debug)]
pub(super) struct Spooler {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Spooler {
    /// Starts the thread. `arrived` is notified when something new is in the spool.
    pub(super) fn start(store: Arc<Store>, bounds: SpoolBounds, arrived: Arc<Notify>) -> Result<Self, Failure> {
        let (orders, waiting) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || run(&store, &bounds, &arrived, waiting))
            .map_err(|error| Failure::failed(format!("no thread for the spool: {error}")))?;
        Ok(Self { orders: Mutex::new(Some(orders)), thread: Mutex::new(Some(thread)) })
    }

    /// Spools events, and comes back when they are on disk; `None` when the store refuses.
    pub(super) async fn spool(&self, events: Vec<(Event, Vec<u8>)>) -> Option<Vec<Spooled>> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let (tell, told) = oneshot::channel();
        orders.send(Order { events, tell }).await.ok()?;
        told.await.ok()
    }

    /// Ends the thread, once what waits for it is written. Blocks.
    pub(super) fn stop(&self) {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the spool's thread ended in a panic");
        }
    }
}

fn run(store: &Store, bounds: &SpoolBounds, arrived: &Notify, mut waiting: mpsc::Receiver<Order>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(order) = waiting.try_recv()
        {
            group.push(order);
        }
        let mut events = Vec::new();
        let tells: Vec<_> = group
            .into_iter()
            .map(|order| {
                let count = order.events.len();
                events.extend(order.events);
                (count, order.tell)
            })
            .collect();
        match store.spool(&events, bounds, now_ms()) {
            Ok(fates) => {
                let mut fates = fates.into_iter();
                for (count, tell) in tells {
                    // Nobody waits any more when the request has gone; what is spooled stays so.
                    drop(tell.send(fates.by_ref().take(count).collect()));
                }
                arrived.notify_one();
            }
            // Whoever waits sees the sender go.
            Err(error) => tracing::error!(%error, "events could not be spooled"),
        }
    }
}
