//! A reader's base: what the center knows of them from before this node's own log, and where that log begins.
//!
//! Base and own history have no event in common, because both are cut at the same places of the log ([`Begin`]): so
//! readers of the store add them up, and a base may be taken anew at any time.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rocksdb::WriteBatch;

use crate::counters::{self, Partial};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{Day, Id, TimestampMs};
use crate::store::Store;
use crate::value::{self, Base, Begin};

impl Store {
    /// Where this node's own history begins, by partition of `events`. A partition that has a position and is not here
    /// was begun by a store of an earlier version, which did not note it.
    pub fn begins(&self) -> BTreeMap<u32, Begin> {
        self.writer.read_recursive().begins().clone()
    }

    /// Replaces a reader's base as a whole, in one write: sums by author and day, each pair at most once. Rows that stay
    /// as they are cost no write, so taking a base anew is cheap.
    ///
    /// `own_from` is where the rows end, as in [`Base`]; `false`, and nothing is changed, when the reader's base ends
    /// elsewhere by now.
    pub fn put_history(
        &self,
        user: Id,
        rows: &[(Id, Day, Partial)],
        as_of_ms: TimestampMs,
        own_from: Option<Day>,
    ) -> Result<bool> {
        let _one_at_a_time = self.history.lock();
        if self.base_of(user)?.and_then(|base| base.own_from) != own_from {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        self.replace_base(user, rows, as_of_ms, own_from, &mut batch)?;
        self.engine.write(batch)?;
        self.viewers.changed(user);
        Ok(true)
    }

    /// Replaces a reader's history up to whole arrival days: what the center has of the days before `own_from` takes
    /// the place of the base and of this node's own rows of those days alike. Every record of those days must have been
    /// applied. `false`, and nothing is changed, when the reader's base reaches further already.
    pub fn renew_history(
        &self,
        user: Id,
        rows: &[(Id, Day, Partial)],
        as_of_ms: TimestampMs,
        own_from: Day,
    ) -> Result<bool> {
        let _one_at_a_time = self.history.lock();
        if self.base_of(user)?.and_then(|base| base.own_from) > Some(own_from) {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        self.replace_base(user, rows, as_of_ms, Some(own_from), &mut batch)?;
        let own = self.engine.cf(Family::UserAuthorDays)?;
        self.engine.scan(Family::UserAuthorDays, &self.keys.one(user), |key, _| {
            let arrival = self.keys.split::<2>(key).and_then(|(_, rest)| rest.first_chunk::<2>());
            if arrival.is_some_and(|arrival| Day::from_be_bytes(*arrival) < own_from) {
                batch.delete_cf(own, key);
            }
            Ok(true)
        })?;
        self.engine.write(batch)?;
        self.viewers.changed(user);
        Ok(true)
    }

    fn replace_base(
        &self,
        user: Id,
        rows: &[(Id, Day, Partial)],
        as_of_ms: TimestampMs,
        own_from: Option<Day>,
        batch: &mut WriteBatch,
    ) -> Result<()> {
        let mut wanted: HashMap<_, _> = {
            let writer = self.writer.read_recursive();
            if writer.forgotten_since(user).is_some() {
                return Ok(());
            }
            let rows = rows.iter().filter(|(author, ..)| writer.forgotten_since(*author).is_none());
            rows.map(|(author, day, sums)| (self.keys.history(user, *author, *day), counters::encode(sums))).collect()
        };
        let base = Base { as_of_ms, rows: u32::try_from(wanted.len()).unwrap_or(u32::MAX), own_from };
        let family = self.engine.cf(Family::History)?;
        self.engine.scan(Family::History, &self.keys.one(user), |key, value| {
            let held = self.keys.split::<2>(key).and_then(|([user, author], rest)| {
                Some(self.keys.history(user, author, Day::from_be_bytes(*rest.first_chunk::<2>()?)))
            });
            match held.and_then(|key| wanted.get(&key).map(|sums| (key, sums.as_slice() == value))) {
                Some((key, true)) => drop(wanted.remove(&key)),
                Some((_, false)) => {}
                None => batch.delete_cf(family, key),
            }
            Ok(true)
        })?;
        for (key, sums) in wanted {
            batch.put_cf(family, key, sums);
        }
        batch.put_cf(self.engine.cf(Family::HistoryOf)?, self.keys.one(user), value::encode(Family::HistoryOf, &base)?);
        Ok(())
    }

    /// How a reader's base was last taken; `None` when it never was, or too long ago.
    pub fn base_of(&self, user: Id) -> Result<Option<Base>> {
        let bytes = self.engine.get(Family::HistoryOf, &self.keys.one(user))?;
        let own = bytes.map(|bytes| value::decode_base(Family::HistoryOf, &bytes)).transpose()?;
        Ok(own.or(*self.whole.read()))
    }

    /// How the bases of all readers were last taken at once; `None` when they never were.
    pub fn whole_base(&self) -> Option<Base> {
        *self.whole.read()
    }

    /// Notes that the bases of all readers were taken: who has none of their own then has no rows at the center.
    pub fn put_whole_base(&self, base: Base) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.engine.cf(Family::Meta)?, whole_key(), value::encode(Family::Meta, &base)?);
        self.engine.write(batch)?;
        *self.whole.write() = Some(base);
        Ok(())
    }

    /// The readers of whom this node has history of its own from before an arrival day, or a base that ends before it:
    /// at most `most`, the lowest above `after`.
    pub fn readers_to_renew(&self, own_from: Day, after: Option<Id>, most: usize) -> Result<Vec<Id>> {
        let mut found = std::collections::BTreeSet::new();
        for family in [Family::UserAuthorDays, Family::HistoryOf] {
            let start = after.map_or_else(Vec::new, |after| {
                self.keys.one(after).successor().map_or_else(Vec::new, |key| key.as_ref().to_vec())
            });
            if after.is_some() && start.is_empty() {
                break;
            }
            self.engine.scan_all(family, &start, |key, value| {
                let Some(([user], rest)) = self.keys.split::<1>(key) else { return Ok(true) };
                if found.len() >= most && found.last().is_some_and(|last| user > *last) {
                    return Ok(false);
                }
                let due = if family == Family::HistoryOf {
                    value::decode_base(family, value)?.own_from < Some(own_from)
                } else {
                    let arrival = self.keys.split::<1>(rest).and_then(|(_, rest)| rest.first_chunk::<2>().copied());
                    arrival.is_some_and(|arrival| Day::from_be_bytes(arrival) < own_from)
                };
                if due && found.insert(user) && found.len() > most {
                    found.pop_last();
                }
                Ok(true)
            })?;
        }
        Ok(found.into_iter().collect())
    }
}

/// The note of [`Store::put_whole_base`].
pub(crate) fn whole_key() -> Key {
    key::meta("whole_base", 0)
}

/// What was noted.
pub(crate) fn whole(engine: &Engine) -> Result<Option<Base>> {
    let bytes = engine.get(Family::Meta, &whole_key())?;
    bytes.map(|bytes| value::decode(Family::Meta, &bytes)).transpose()
}
