//! Rows: gated by version, state and counts derived from what was there before, never from `op`.

use super::{Pending, Writer, versions};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{Cdc, DeadReason, Id, Record, Refusal, Row, RowChange, RowKey};
use crate::position::{Stall, StallReason};
use crate::value::{self, CommentRow, LinkRow, PostRow, VersionMark};

/// What a row change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// It is now the row's state.
    Applied,
    /// The store holds this version or a newer one.
    Stale,
    /// It leaves out a value this node has never seen.
    Unavailable,
    /// It is about somebody who was forgotten.
    Forgotten,
}

impl Writer {
    /// Folds a CDC record; returns the stall when its topic has to stop here.
    pub(super) fn fold_cdc(
        &mut self,
        engine: &Engine,
        record: &Record,
        cdc: &Cdc,
        pending: &mut Pending,
    ) -> Result<Option<Stall>> {
        let topic = record.at.topic;
        let stall = |reason, detail| Stall { reason, at: record.at, offset: record.offset, detail };
        let mark = match versions::check(pending.version(topic).or_else(|| self.versions.get(&topic)), cdc) {
            Ok(mark) => mark,
            Err(detail) => return Ok(Some(stall(StallReason::VersionRegress, detail))),
        };
        // A delete that comes late is remembered from when it came.
        let cdc = &Cdc { commit_time: cdc.commit_time.max(record.time), ..*cdc };
        let floor = mark.floor;
        let fold = match cdc.change {
            // First: what is stale here would still make a row at the center.
            _ if self.names_forgotten(engine, &cdc.change, pending)? => Fold::Forgotten,
            _ if cdc.version.packed() <= floor => Fold::Stale,
            RowChange::Truncate if !self.apply_truncates => {
                let detail = format!("a truncate of {} arrived", topic.name());
                return Ok(Some(stall(StallReason::Truncate, detail)));
            }
            RowChange::Truncate => self.fold_truncate(engine, record.at.topic, cdc, pending)?,
            RowChange::Upsert(row) => self.fold_row(engine, row, cdc, pending)?,
            RowChange::Delete(key) => {
                let fold = self.fold_delete(engine, key, cdc, pending)?;
                if let (Fold::Applied, RowKey::User(user)) = (fold, key) {
                    pending.forget(user, cdc.commit_time);
                }
                fold
            }
        };
        let truncated = cdc.change == RowChange::Truncate && fold == Fold::Applied;
        let floor = if truncated { floor.max(cdc.version.packed()) } else { floor };
        pending.set_version(topic, VersionMark { floor, ..mark });
        match fold {
            Fold::Applied => *pending.applied.applied.entry(topic).or_default() += 1,
            Fold::Stale => *pending.applied.stale.entry(topic).or_default() += 1,
            Fold::Forgotten => {
                *pending.applied.forgotten.entry(topic).or_default() += 1;
                pending.marks.push(key::record(record.at, record.offset));
            }
            Fold::Unavailable => {
                let detail = format!("a value was left out of a row not seen before; read {} again", topic.name());
                let refusal = Refusal { reason: DeadReason::UnavailableValue, detail };
                let raw = record.raw.as_deref();
                let (key, value) = (raw.and_then(|raw| raw.key.as_deref()), raw.and_then(|raw| raw.value.as_deref()));
                self.bury(record, &refusal, key, value, pending);
            }
        }
        Ok(None)
    }

    fn fold_row(&self, engine: &Engine, row: Row, cdc: &Cdc, pending: &mut Pending) -> Result<Fold> {
        match row {
            Row::Post { id, author, created_at, deleted } => {
                let held = self.post(engine, id, pending)?;
                let known = held.and_then(|held| held.author);
                let author = author.or(known.map(|(author, _)| author));
                let created_at = created_at.or(known.map(|(_, created_at)| created_at));
                let hidden = deleted.or(held.map(|held| held.hidden)).unwrap_or(false);
                let (Some(author), Some(created_at)) = (author, created_at) else { return Ok(Fold::Unavailable) };
                let row = PostRow {
                    version: cdc.version.packed(),
                    removed: None,
                    hidden,
                    author: Some((author, created_at)),
                };
                Ok(self.put_post(id, held, row, pending))
            }
            Row::Comment { id, post, user } => {
                let held = self.comment(engine, id, pending)?;
                let Some(post) = post.or(held.and_then(|held| held.post)) else { return Ok(Fold::Unavailable) };
                let user = user.or(held.and_then(|held| held.user));
                let row = CommentRow { version: cdc.version.packed(), removed: None, post: Some(post), user };
                Ok(put_comment(id, held, row, pending))
            }
            Row::Follow { follower, following } => {
                self.link(engine, RowKey::Follow(follower, following), cdc, true, pending)
            }
            Row::Like { user, post } => self.link(engine, RowKey::Like(user, post), cdc, true, pending),
            Row::Block { blocker, blocked } => self.link(engine, RowKey::Block(blocker, blocked), cdc, true, pending),
            Row::User { id } => self.link(engine, RowKey::User(id), cdc, true, pending),
        }
    }

    pub(super) fn fold_delete(&self, engine: &Engine, key: RowKey, cdc: &Cdc, pending: &mut Pending) -> Result<Fold> {
        let version = cdc.version.packed();
        let removed = Some(cdc.commit_time);
        match key {
            RowKey::Post(id) => {
                let held = self.post(engine, id, pending)?;
                let author = held.and_then(|held| held.author);
                let hidden = held.is_some_and(|held| held.hidden);
                Ok(self.put_post(id, held, PostRow { version, removed, hidden, author }, pending))
            }
            RowKey::Comment(id) => {
                let held = self.comment(engine, id, pending)?;
                let (post, user) = (held.and_then(|held| held.post), held.and_then(|held| held.user));
                Ok(put_comment(id, held, CommentRow { version, removed, post, user }, pending))
            }
            key => self.link(engine, key, cdc, false, pending),
        }
    }

    pub(super) fn put_post(&self, id: Id, held: Option<PostRow>, row: PostRow, pending: &mut Pending) -> Fold {
        if held.is_some_and(|held| held.version >= row.version) {
            return Fold::Stale;
        }
        let before = held.and_then(|held| held.live());
        if before != row.live() {
            for (live, put) in [(before, false), (row.live(), true)] {
                if let Some((author, created_at)) = live {
                    let key = self.keys.author_post(author, created_at, id);
                    pending.index.insert((Family::AuthorPosts, key), put);
                }
            }
            pending.changed_posts.insert(id);
        }
        pending.posts.insert(id, row);
        Fold::Applied
    }

    /// A row that is only there or not there.
    fn link(&self, engine: &Engine, row: RowKey, cdc: &Cdc, live: bool, pending: &mut Pending) -> Result<Fold> {
        let Some((family, key)) = self.keys.link(row) else { return Ok(Fold::Stale) };
        let held = self.held_link(engine, family, key, pending)?;
        let version = cdc.version.packed();
        if held.is_some_and(|held| held.version >= version) {
            return Ok(Fold::Stale);
        }
        let state = LinkRow { version, removed: (!live).then_some(cdc.commit_time) };
        self.put_link(row, (family, key), held, state, pending);
        Ok(Fold::Applied)
    }

    pub(super) fn put_link(
        &self,
        row: RowKey,
        at: (Family, Key),
        held: Option<LinkRow>,
        state: LinkRow,
        pending: &mut Pending,
    ) {
        let was_live = held.is_some_and(|held| held.removed.is_none());
        pending.links.insert(at, state);
        if was_live != state.removed.is_none() {
            self.link_turned(row, !was_live, pending);
        }
    }

    /// A link came or went: its index, the counts and the readers it concerns.
    fn link_turned(&self, row: RowKey, live: bool, pending: &mut Pending) {
        match row {
            RowKey::Follow(follower, following) => {
                pending.index.insert((Family::Followers, self.keys.two(following, follower)), live);
                pending.touch(follower);
            }
            RowKey::Block(blocker, blocked) => {
                pending.index.insert((Family::BlockedBy, self.keys.two(blocked, blocker)), live);
                pending.touch(blocker);
                pending.touch(blocked);
            }
            RowKey::Like(user, post) => {
                pending.add_rows(post, if live { 1 } else { -1 }, 0);
                pending.touch(user);
            }
            RowKey::User(_) | RowKey::Post(_) | RowKey::Comment(_) => {}
        }
    }

    pub(super) fn held_link(
        &self,
        engine: &Engine,
        family: Family,
        key: Key,
        pending: &Pending,
    ) -> Result<Option<LinkRow>> {
        if let Some(row) = pending.links.get(&(family, key)) {
            return Ok(Some(*row));
        }
        engine.get(family, &key)?.map(|bytes| value::decode(family, &bytes)).transpose()
    }

    pub(super) fn post(&self, engine: &Engine, id: Id, pending: &Pending) -> Result<Option<PostRow>> {
        if let Some(row) = pending.posts.get(&id) {
            return Ok(Some(*row));
        }
        let bytes = engine.get(Family::Posts, &self.keys.one(id))?;
        bytes.map(|bytes| value::decode(Family::Posts, &bytes)).transpose()
    }

    pub(super) fn comment(&self, engine: &Engine, id: Id, pending: &Pending) -> Result<Option<CommentRow>> {
        if let Some(row) = pending.comments.get(&id) {
            return Ok(Some(*row));
        }
        let bytes = engine.get(Family::Comments, &self.keys.one(id))?;
        bytes.map(|bytes| value::decode(Family::Comments, &bytes)).transpose()
    }
}

pub(super) fn put_comment(id: Id, held: Option<CommentRow>, row: CommentRow, pending: &mut Pending) -> Fold {
    if held.is_some_and(|held| held.version >= row.version) {
        return Fold::Stale;
    }
    let before = held.and_then(|held| held.live());
    if before != row.live() {
        for (post, difference) in [(before, -1), (row.live(), 1)] {
            if let Some(post) = post {
                pending.add_rows(post, 0, difference);
            }
        }
    }
    pending.comments.insert(id, row);
    Fold::Applied
}
