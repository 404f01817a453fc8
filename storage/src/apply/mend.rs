//! Rows put in place whatever their versions: for repairs, which know better than the gate.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::rows::put_comment;
use super::{Pending, Writer};
use crate::counters::{self, RowCounts};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{Family, Key};
use crate::model::{Id, RowKey, TimestampMs};
use crate::store::Store;
use crate::value::{self, CommentRow, LinkRow, PostRow};

/// A row as it should be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// A row of `posts`.
    Post(Id, PostRow),
    /// A row of `comments`.
    Comment(Id, CommentRow),
    /// A follow, a block, a like, a user.
    Link(RowKey, LinkRow),
}

impl Store {
    /// Puts rows in place of what is held, indexes, counts and projection with them, in one write; tells how many. Each
    /// comes with the version that was looked at, 0 for none: a row that a record changed since stays as it is.
    pub fn mend(&self, rows: &[(u64, Mend)], now_ms: TimestampMs) -> Result<usize> {
        let mut writer = self.writer.write();
        let writer = &mut *writer;
        let mut pending = Pending::new(now_ms);
        let mut done = 0;
        for (looked, mend) in rows {
            done += usize::from(writer.mend(&self.engine, *looked, *mend, &mut pending)?);
        }
        writer.recount(&self.engine, &mut pending)?;
        self.engine.write(pending.batch(&self.engine, writer.keys)?)?;
        self.project(&pending, writer.overlay(), now_ms);
        Ok(done)
    }
}

impl Writer {
    /// Makes the counts of the posts concerned what their rows say. Where a row was wrong, the count may have been too, and
    /// nothing tells by how much: the rows are gone through once more.
    fn recount(&self, engine: &Engine, pending: &mut Pending) -> Result<()> {
        let mut due: HashMap<Id, RowCounts> = pending.counts.keys().map(|post| (*post, RowCounts::default())).collect();
        let of_like = |key: &[u8]| self.keys.split::<2>(key).map(|([_, post], _)| post);
        due.extend(
            pending
                .links
                .keys()
                .filter(|(family, _)| *family == Family::Likes)
                .filter_map(|(_, key)| Some((of_like(key.as_ref())?, RowCounts::default()))),
        );
        due.extend(pending.comments.values().filter_map(|row| Some((row.post?, RowCounts::default()))));
        if due.is_empty() {
            return Ok(());
        }
        let mut like = |key: &[u8], row: LinkRow| {
            if let Some(counts) = of_like(key).and_then(|post| due.get_mut(&post)) {
                counts.likes += i64::from(row.removed.is_none());
            }
        };
        let changed: BTreeSet<Key> = pending.links.keys().map(|(_, key)| *key).collect();
        engine.scan_all(Family::Likes, &[], |key, bytes| {
            let known = self.keys.split::<2>(key).map(|([user, post], _)| self.keys.two(user, post));
            if !known.is_some_and(|key| changed.contains(&key)) {
                like(key, value::decode(Family::Likes, bytes)?);
            }
            Ok(true)
        })?;
        for ((family, key), row) in &pending.links {
            if *family == Family::Likes {
                like(key.as_ref(), *row);
            }
        }
        let mut comment = |row: CommentRow| {
            if let Some(counts) = row.live().and_then(|post| due.get_mut(&post)) {
                counts.comments += 1;
            }
        };
        engine.scan_all(Family::Comments, &[], |key, bytes| {
            let id = self.keys.split::<1>(key).map(|([id], _)| id);
            if !id.is_some_and(|id| pending.comments.contains_key(&id)) {
                comment(value::decode(Family::Comments, bytes)?);
            }
            Ok(true)
        })?;
        pending.comments.values().for_each(|row| comment(*row));
        pending.counts.clear();
        for (post, counts) in due {
            let held = match engine.get(Family::PostCounts, &self.keys.one(post))? {
                Some(bytes) => counters::decode(Family::PostCounts, &bytes)?,
                None => RowCounts::default(),
            };
            pending.add_rows(post, counts.likes - held.likes, counts.comments - held.comments);
        }
        Ok(())
    }

    fn mend(&self, engine: &Engine, looked: u64, mend: Mend, pending: &mut Pending) -> Result<bool> {
        let changed = |version: Option<u64>| version.unwrap_or(0) != looked;
        match mend {
            Mend::Post(id, row) => {
                let held = self.post(engine, id, pending)?;
                if changed(held.map(|held| held.version)) {
                    return Ok(false);
                }
                // Below every version: the gate lets the row pass.
                self.put_post(id, held.map(|held| PostRow { version: 0, ..held }), row, pending);
            }
            Mend::Comment(id, row) => {
                let held = self.comment(engine, id, pending)?;
                if changed(held.map(|held| held.version)) {
                    return Ok(false);
                }
                put_comment(id, held.map(|held| CommentRow { version: 0, ..held }), row, pending);
            }
            Mend::Link(key, row) => {
                let Some(at) = self.keys.link(key) else { return Ok(false) };
                let held = self.held_link(engine, at.0, at.1, pending)?;
                if changed(held.map(|held| held.version)) {
                    return Ok(false);
                }
                self.put_link(key, at, held, row, pending);
            }
        }
        Ok(true)
    }
}
