//! Connections open at once from one address.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::rate_limit::{Asker, Peer};

/// How many each address has.
type Taken = Arc<Mutex<HashMap<Peer, usize>>>;

/// Counts connections by address. It holds no more entries than there are connections.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Taken,
}

/// One connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Option<(Peer, Taken)>);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place, or none when the address has all it may have.
    pub(super) fn take(&self, asker: Asker) -> Option<Place> {
        let Asker::Counted(peer) = asker else { return Some(Place(None)) };
        let mut taken = self.taken.lock();
        let count = taken.get(&peer).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        taken.insert(peer, count + 1);
        Some(Place(Some((peer, Arc::clone(&self.taken)))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((peer, taken)) = self.0.take() else { return };
        let mut taken = taken.lock();
        match taken.get_mut(&peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&peer)),
        }
    }
}
