//! Readers lately seen, and how old their base is: so that a request need not ask the store, and a job knows whom to
//! renew.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use edgefeed_storage::model::{Id, TimestampMs};

/// A reader not seen for this long is forgotten, and no longer renewed.
pub(super) const SEEN_FOR: Duration = Duration::from_secs(3_600);

/// In place of a time: there is no base.
const NEVER: TimestampMs = TimestampMs::MIN;

#[derive(Debug)]
struct Known {
    as_of: AtomicI64,
    seen: AtomicI64,
}

/// The readers of the last hour, at most so many. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Readers(moka::sync::Cache<Id, Arc<Known>>);

impl Readers {
    pub(super) fn new(most: u64) -> Self {
        Self(moka::sync::Cache::builder().max_capacity(most).time_to_idle(SEEN_FOR).build())
    }

    /// Notes that a reader was here. When their base was taken, if it was; `None` for a reader not known.
    pub(super) fn see(&self, reader: Id, now_ms: TimestampMs) -> Option<Option<TimestampMs>> {
        let known = self.0.get(&reader)?;
        known.seen.store(now_ms, Ordering::Relaxed);
        Some(taken(&known))
    }

    /// When a reader's base was taken, if they are known and it was.
    pub(super) fn as_of(&self, reader: Id) -> Option<TimestampMs> {
        taken(&*self.0.get(&reader)?)
    }

    /// Takes a reader in who was here just now. A base stored meanwhile stays noted.
    pub(super) fn note(&self, reader: Id, as_of: Option<TimestampMs>, now_ms: TimestampMs) {
        let fresh = || Arc::new(Known { as_of: AtomicI64::new(NEVER), seen: AtomicI64::new(now_ms) });
        let known = self.0.get_with(reader, fresh);
        known.as_of.fetch_max(as_of.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// A reader's base was taken then.
    pub(super) fn renewed(&self, reader: Id, as_of: TimestampMs) {
        if let Some(known) = self.0.get(&reader) {
            known.as_of.fetch_max(as_of, Ordering::Relaxed);
        }
    }

    /// Readers seen since, whose base was taken before or never: the oldest first.
    pub(super) fn due(&self, seen_since: TimestampMs, taken_before: TimestampMs) -> Vec<Id> {
        let due = self.0.iter().filter_map(|(reader, known)| {
            let (as_of, seen) = (known.as_of.load(Ordering::Relaxed), known.seen.load(Ordering::Relaxed));
            (as_of < taken_before && seen >= seen_since).then_some((as_of, *reader))
        });
        let mut due: Vec<(TimestampMs, Id)> = due.collect();
        due.sort_unstable();
        due.into_iter().map(|(_, reader)| reader).collect()
    }

    pub(super) fn len(&self) -> u64 {
        self.0.entry_count()
    }
}

fn taken(known: &Known) -> Option<TimestampMs> {
    Some(known.as_of.load(Ordering::Relaxed)).filter(|as_of| *as_of != NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_795_376_817_860;

    #[test]
    fn the_oldest_bases_of_readers_lately_seen_are_due_first() {
        let readers = Readers::new(100);
        readers.note(Id(1), Some(NOW - 10), NOW);
        readers.note(Id(2), None, NOW);
        readers.note(Id(3), Some(NOW - 20), NOW);
        readers.note(Id(4), Some(NOW - 30), NOW - 1_000);
        readers.note(Id(5), Some(NOW), NOW);
        assert_eq!(readers.due(NOW - 500, NOW - 5), [Id(2), Id(3), Id(1)]);
        readers.renewed(Id(2), NOW);
        readers.renewed(Id(9), NOW);
        assert_eq!(readers.due(NOW - 500, NOW - 5), [Id(3), Id(1)], "nobody is taken in by a renewal");
    }

    #[test]
    fn a_base_stored_meanwhile_is_not_forgotten_for_an_older_look_at_the_store() {
        let readers = Readers::new(100);
        assert_eq!(readers.see(Id(1), NOW), None);
        readers.note(Id(1), None, NOW);
        assert_eq!(readers.see(Id(1), NOW), Some(None));
        readers.renewed(Id(1), NOW + 1);
        readers.note(Id(1), None, NOW + 2);
        assert_eq!(readers.see(Id(1), NOW + 3), Some(Some(NOW + 1)));
        assert_eq!(readers.as_of(Id(1)), Some(NOW + 1));
    }
}
