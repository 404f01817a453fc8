//! Forgetting a user: a word that holds for ever, and the removal of everything that is kept of them.
//!
//! The word comes first and is what counts: from then on no record brings anything back ([`crate::apply`]). What was
//! there is removed behind it, in small steps, and from the beginning again after a crash.

mod seek;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use rocksdb::WriteBatch;

use crate::counters::{self, RowCounts};
use crate::error::Result;
use crate::hot::Hot;
use crate::key::Family;
use crate::model::{Id, TimestampMs};
use crate::store::Store;
use crate::value::{self, CommentRow, Forgotten, LinkRow, PostRow};

/// How many users one pass through the store is made for.
const USERS_AT_ONCE: usize = 10_000;
/// How many entries one write removes.
const REMOVED_AT_ONCE: usize = 1_000;

/// What was removed, or would be: entries by the family they stood in.
pub type Removed = BTreeMap<&'static str, u64>;

impl Store {
    /// Notes that users are forgotten since a time, and syncs it. Of those noted before, the first time holds; with
    /// `again` what is kept of them is looked for once more. Gives back whom there was something to note of.
    pub fn forget(&self, users: &[(Id, TimestampMs)], again: bool) -> Result<Vec<Id>> {
        let mut writer = self.writer.write();
        let (mut batch, mut noted) = (WriteBatch::default(), HashMap::new());
        for (user, at) in users {
            let held = self.forgotten(*user)?;
            if held.is_some() && !again {
                continue;
            }
            let row = held.unwrap_or(Forgotten { at: *at, swept: false, told: false });
            self.put_forgotten(&mut batch, *user, Forgotten { swept: false, ..row })?;
            noted.insert(*user, row.at);
        }
        self.engine.write(batch)?;
        writer.forget(&noted);
        drop(writer);
        self.sync()?;
        Ok(noted.into_keys().collect())
    }

    /// Notes whoever another store of this node says is forgotten; gives back how many of them were news.
    pub fn forget_like(&self, other: &Self) -> Result<usize> {
        let mut users = Vec::new();
        other.each_forgotten(|user, row| users.push((user, row.at)))?;
        Ok(if users.is_empty() { 0 } else { self.forget(&users, false)?.len() })
    }

    /// What is noted of a user who was forgotten.
    pub fn forgotten(&self, user: Id) -> Result<Option<Forgotten>> {
        let bytes = self.engine.get(Family::Forgotten, &self.keys.one(user))?;
        bytes.map(|bytes| value::decode(Family::Forgotten, &bytes)).transpose()
    }

    /// Everybody who was forgotten.
    pub fn each_forgotten(&self, mut visit: impl FnMut(Id, Forgotten)) -> Result<()> {
        self.engine.scan_all(Family::Forgotten, &[], |key, bytes| {
            if let Some(([user], _)) = self.keys.split::<1>(key) {
                visit(user, value::decode(Family::Forgotten, bytes)?);
            }
            Ok(true)
        })
    }

    /// Notes that the center knows of these users and holds nothing of them.
    pub fn told_forgotten(&self, users: &[Id]) -> Result<()> {
        self.change_forgotten(users.iter().copied(), |row| Forgotten { told: true, ..row })
    }

    /// Users who were forgotten and of whom something may still be here: at most as many as one sweep is for.
    pub fn unswept(&self) -> Vec<Id> {
        self.writer.read_recursive().unswept(USERS_AT_ONCE).into_iter().collect()
    }

    /// Removes what is kept of users who were forgotten and whose removal is not known to be complete; `None` when there
    /// is none. Gives up early, and changes nothing but what was removed so far, when `go_on` says no.
    pub fn sweep_forgotten(&self, go_on: impl Fn() -> bool) -> Result<Option<Removed>> {
        let _one_at_a_time = self.sweeping.lock();
        let users = self.writer.read_recursive().unswept(USERS_AT_ONCE);
        if users.is_empty() {
            return Ok(None);
        }
        let mut sweep = Sweep { store: self, users: &users, remove: true, go_on: &go_on, removed: Removed::new() };
        if sweep.run()? {
            self.change_forgotten(users.iter().copied(), |row| Forgotten { swept: true, ..row })?;
            self.writer.write().swept(&users);
        }
        Ok(Some(sweep.removed))
    }

    /// What is kept of a user: what forgetting them would remove. Reads the whole store.
    pub fn kept_of(&self, user: Id) -> Result<Removed> {
        let users = BTreeSet::from([user]);
        let mut sweep = Sweep { store: self, users: &users, remove: false, go_on: &|| true, removed: Removed::new() };
        sweep.run()?;
        Ok(sweep.removed)
    }

    fn change_forgotten(&self, users: impl Iterator<Item = Id>, change: impl Fn(Forgotten) -> Forgotten) -> Result<()> {
        let _one_at_a_time = self.writer.write();
        let mut batch = WriteBatch::default();
        for user in users {
            if let Some(row) = self.forgotten(user)? {
                self.put_forgotten(&mut batch, user, change(row))?;
            }
        }
        self.engine.write(batch)
    }

    fn put_forgotten(&self, batch: &mut WriteBatch, user: Id, row: Forgotten) -> Result<()> {
        batch.put_cf(self.engine.cf(Family::Forgotten)?, self.keys.one(user), value::encode(Family::Forgotten, &row)?);
        Ok(())
    }
}

/// One pass through the store for some users.
struct Sweep<'a> {
    store: &'a Store,
    users: &'a BTreeSet<Id>,
    /// Whether to remove what is found, or only to count it.
    remove: bool,
    go_on: &'a dyn Fn() -> bool,
    removed: Removed,
}

/// What goes with some entries: their indexes and counts, and what readers have in memory of them.
#[derive(Default)]
struct Wake {
    batch: WriteBatch,
    posts: Vec<Id>,
    rows: Vec<(Id, RowCounts)>,
    readers: BTreeSet<Id>,
}

impl Sweep<'_> {
    /// Takes entries out, with all that follows from them, in one write.
    fn take(&mut self, family: Family, keys: &[Vec<u8>]) -> Result<()> {
        let store = self.store;
        // What is read and what is written belong together: nothing is applied in between. Bases have a lock of their own.
        let _base = matches!(family, Family::History | Family::HistoryOf).then(|| store.history.lock());
        let _rows = _base.is_none().then(|| store.writer.write());
        let mut wake = Wake::default();
        let mut count = 0;
        for key in keys {
            let Some(bytes) = store.engine.get_raw(family, key)? else { continue };
            self.follow(family, key, &bytes, &mut wake)?;
            wake.batch.delete_cf(store.engine.cf(family)?, key);
            count += 1;
        }
        store.engine.write(std::mem::take(&mut wake.batch))?;
        if !wake.posts.is_empty() || !wake.rows.is_empty() {
            wake.project(&mut store.hot.write());
        }
        for reader in wake.readers {
            store.viewers.changed(reader);
        }
        self.count(family, count);
        Ok(())
    }

    fn count(&mut self, family: Family, entries: usize) {
        if entries > 0 {
            *self.removed.entry(family.name()).or_default() += u64::try_from(entries).unwrap_or(u64::MAX);
        }
    }

    /// What follows from the end of one entry.
    fn follow(&self, family: Family, key: &[u8], bytes: &[u8], wake: &mut Wake) -> Result<()> {
        let (keys, engine) = (self.store.keys, &self.store.engine);
        match family {
            Family::Posts => {
                let Some(([post], _)) = keys.split::<1>(key) else { return Ok(()) };
                let row: PostRow = value::decode(family, bytes)?;
                if let Some((author, created_at)) = row.author {
                    let index = keys.author_post(author, created_at, post);
                    wake.batch.delete_cf(engine.cf(Family::AuthorPosts)?, index);
                }
                let hours = keys.one(post);
                if let Some(end) = hours.successor() {
                    wake.batch.delete_range_cf(engine.cf(Family::PostHours)?, hours, end);
                }
                wake.posts.push(post);
            }
            Family::Comments => {
                let row: CommentRow = value::decode(family, bytes)?;
                if let Some(post) = row.live() {
                    wake.uncount(engine, keys, post, RowCounts { likes: 0, comments: -1 })?;
                }
            }
            Family::HistoryOf | Family::Users => wake.readers.extend(keys.split::<1>(key).map(|([user], _)| user)),
            _ => {
                let Some(([first, second], _)) = keys.split::<2>(key) else { return Ok(()) };
                wake.readers.insert(first);
                match family {
                    Family::Follows => {
                        wake.batch.delete_cf(engine.cf(Family::Followers)?, keys.two(second, first));
                    }
                    Family::Blocks => {
                        wake.batch.delete_cf(engine.cf(Family::BlockedBy)?, keys.two(second, first));
                        wake.readers.insert(second);
                    }
                    Family::Likes => {
                        let row: LinkRow = value::decode(family, bytes)?;
                        if row.removed.is_none() {
                            wake.uncount(engine, keys, second, RowCounts { likes: -1, comments: 0 })?;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Wake {
    fn uncount(
        &mut self,
        engine: &crate::engine::Engine,
        keys: crate::key::Keys,
        post: Id,
        difference: RowCounts,
    ) -> Result<()> {
        self.batch.merge_cf(engine.cf(Family::PostCounts)?, keys.one(post), counters::encode(&difference));
        self.rows.push((post, difference));
        Ok(())
    }

    fn project(&self, hot: &mut Hot) {
        for (post, counts) in &self.rows {
            hot.add_rows(*post, counts.likes, counts.comments);
        }
        for post in &self.posts {
            hot.post_changed(*post, None);
        }
    }
}

#[cfg(test)]
mod tests;
