//! Who was forgotten: their records change nothing, whenever and from wherever they come.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{Pending, Writer};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{Family, Keys};
use crate::model::{Field, Id, Row, RowChange, TimestampMs};
use crate::value;

/// Everybody who was forgotten: 32 bytes each, and for ever.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    since: HashMap<Id, TimestampMs>,
    /// Those of whom something may still be here.
    unswept: BTreeSet<Id>,
}

impl Forgotten {
    pub(super) fn load(engine: &Engine, keys: Keys) -> Result<Self> {
        let mut all = Self::default();
        engine.scan_all(Family::Forgotten, &[], |key, bytes| {
            if let Some(([user], _)) = keys.split::<1>(key) {
                let row: value::Forgotten = value::decode(Family::Forgotten, bytes)?;
                all.since.insert(user, row.at);
                if !row.swept {
                    all.unswept.insert(user);
                }
            }
            Ok(true)
        })?;
        Ok(all)
    }

    pub(super) fn extend(&mut self, users: &HashMap<Id, TimestampMs>) {
        for (user, at) in users {
            self.since.insert(*user, *at);
            self.unswept.insert(*user);
        }
    }
}

impl Writer {
    /// Since when the first of these users is forgotten.
    pub(super) fn forgotten_of(&self, pending: &Pending, users: [Option<Id>; 2]) -> Option<TimestampMs> {
        let (before, now) = (&self.forgotten.since, pending.forgotten());
        if before.is_empty() && now.is_empty() {
            return None;
        }
        users.into_iter().flatten().filter_map(|user| before.get(&user).or_else(|| now.get(&user)).copied()).min()
    }

    pub(super) fn is_forgotten(&self, pending: &Pending, user: Id) -> bool {
        self.forgotten_of(pending, [Some(user), None]).is_some()
    }

    /// Whether a change would bring back a row that names somebody who was forgotten.
    pub(super) fn names_forgotten(&self, engine: &Engine, change: &RowChange, pending: &Pending) -> Result<bool> {
        let users = match change {
            // Who wrote a post may have been left out; then the row held knows.
            RowChange::Upsert(Row::Post { id, author: Field::Unchanged, .. }) => {
                let held = self.post(engine, *id, pending)?;
                [held.and_then(|held| held.author).map(|(author, _)| author), None]
            }
            RowChange::Upsert(row) => row.users(),
            RowChange::Delete(key) => key.users(),
            RowChange::Truncate => [None, None],
        };
        Ok(self.forgotten_of(pending, users).is_some())
    }

    /// Notes users who were forgotten otherwise than by a record; the store holds them already.
    pub(crate) fn forget(&mut self, users: &HashMap<Id, TimestampMs>) {
        self.forgotten.extend(users);
    }

    /// Since when a user is forgotten.
    pub(crate) fn forgotten_since(&self, user: Id) -> Option<TimestampMs> {
        self.forgotten.since.get(&user).copied()
    }

    /// Some of those of whom something may still be here.
    pub(crate) fn unswept(&self, most: usize) -> BTreeSet<Id> {
        self.forgotten.unswept.iter().take(most).copied().collect()
    }

    pub(crate) fn swept(&mut self, users: &BTreeSet<Id>) {
        self.forgotten.unswept.retain(|user| !users.contains(user));
    }
}
