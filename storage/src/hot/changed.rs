//! What changed since somebody last looked, for those who look at everything again and again: a pass over all posts costs a
//! wait for memory each, and of a million posts a few thousand change in a second.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Hot, PostFacts, PostNo};

/// When each slot last changed, in looks.
#[derive(Debug, Default)]
pub(super) struct Changes {
    looks: AtomicU32,
    /// The number of looks before each slot's last change.
    slots: Vec<u32>,
}

impl Changes {
    pub(super) fn note(&mut self, slot: PostNo) {
        let (at, looks) = (slot.0 as usize, *self.looks.get_mut());
        if at >= self.slots.len() {
            self.slots.resize(at + 1, 0);
        }
        self.slots[at] = looks;
    }

    pub(super) fn expect(&mut self, slots: usize) {
        self.slots.reserve(slots);
    }
}

/// How far somebody has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    generation: u32,
    /// Whatever changes from now on does so after so many looks.
    after: u32,
}

impl Hot {
    /// Begins to look. Nobody changes anything meanwhile: there is no other way to this than the lock.
    pub(crate) fn look(&self) -> Look {
        let before = self.changes.looks.fetch_add(1, Ordering::Relaxed);
        Look { generation: self.generation, after: before.wrapping_add(1) }
    }

    /// Whether places still mean what they meant then.
    pub(crate) fn is_as_at(&self, look: Look) -> bool {
        self.generation == look.generation
    }

    /// The slots of a range that changed after a look, or all; what is there now.
    pub(crate) fn changed(
        &self,
        slots: Range<usize>,
        since: Option<Look>,
    ) -> impl Iterator<Item = (PostNo, Option<&PostFacts>)> {
        let noted = self.changes.slots.get(slots.clone()).unwrap_or_default();
        let after = since.map_or(0, |look| look.after);
        // The number of looks goes round after a hundred years of a look a second.
        let new = noted.iter().enumerate().filter(move |(_, looks)| **looks >= after);
        new.map(move |(at, _)| {
            let slot = slots.start + at;
            (PostNo(u32::try_from(slot).unwrap_or(u32::MAX)), self.slot(slot))
        })
    }
}
