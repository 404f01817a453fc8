//! Rows of the center become facts of a store under construction, in the order they come.

use bytes::Bytes;
use edgefeed_storage::key::Family;
use edgefeed_storage::model::{Counters, Id, IdKind, TimestampMs};
use edgefeed_storage::{Base, Build, CommentRow, LinkRow, Partial, PostRow, Sorted};
use tokio::sync::mpsc::Receiver;

use super::error::{Error, Result};
use crate::center::{Fields, Walk};

/// What is handed from the connection to the one who writes.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Whole rows.
    Rows(Bytes),
    /// There are no more: without it, nothing is taken in.
    End,
}

/// One part of a walk.
pub(crate) struct Filling<'b> {
    ids: IdKind,
    walk: Walk,
    width: usize,
    as_of_ms: TimestampMs,
    run: Sorted<'b>,
    /// Of histories: that each reader's base was taken.
    bases: Sorted<'b>,
    /// The reader whose rows are coming, and how many came.
    reader: Option<(Id, u32)>,
}

/// Takes the rows of one part into the build. Blocks.
pub(crate) fn fill(
    build: &Build,
    (walk, ids, width): (Walk, IdKind, usize),
    as_of_ms: TimestampMs,
    mut pieces: Receiver<Piece>,
) -> Result<u64> {
    let (run, bases) = (build.sorted(family(walk)), build.sorted(Family::HistoryOf));
    let mut filling = Filling { ids, walk, width, as_of_ms, run, bases, reader: None };
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Rows(rows)) => filling.take(&rows)?,
            Some(Piece::End) => return filling.finish(),
            None => return Err(Error::Stopped),
        }
    }
}

const fn family(walk: Walk) -> Family {
    match walk {
        Walk::Posts => Family::Posts,
        Walk::Follows => Family::Follows,
        Walk::Comments => Family::Comments,
        Walk::Likes => Family::Likes,
        Walk::Blocks => Family::Blocks,
        Walk::Hides => Family::Hides,
        Walk::Viewed => Family::Viewed,
        Walk::EventIds => Family::Dedup,
        Walk::PostHours => Family::PostHours,
        Walk::Histories => Family::History,
    }
}

impl Filling<'_> {
    fn take(&mut self, rows: &[u8]) -> Result<()> {
        for row in rows.chunks_exact(self.width) {
            self.row(Fields(row))?;
        }
        Ok(())
    }

    fn row(&mut self, mut fields: Fields<'_>) -> Result<()> {
        let ids = self.ids;
        match self.walk {
            Walk::Posts => {
                let (id, version, removed) = (fields.id(ids), fields.u64(), removed(&mut fields));
                let (author, created_at, hidden) = (fields.id(ids), fields.i64(), fields.u8() != 0);
                // Of a deleted row only the key is to be believed.
                let author = removed.is_none().then_some((author, created_at));
                self.run.post(id, &PostRow { version, removed, hidden: hidden && removed.is_none(), author })?;
            }
            Walk::Comments => {
                let (id, version, removed) = (fields.id(ids), fields.u64(), removed(&mut fields));
                let post = Some(fields.id(ids)).filter(|_| removed.is_none());
                let user = Some(fields.id(ids)).filter(|user| removed.is_none() && *user != Id(0));
                self.run.comment(id, &CommentRow { version, removed, post, user })?;
            }
            Walk::Follows | Walk::Likes | Walk::Blocks => {
                let (first, second, version) = (fields.id(ids), fields.id(ids), fields.u64());
                self.run.link(first, second, &LinkRow { version, removed: removed(&mut fields) })?;
            }
            Walk::Hides | Walk::Viewed => self.run.seen(fields.id(ids), fields.id(ids), fields.i64())?,
            Walk::EventIds => {
                let (partition, hour, id, offset) = (fields.u32(), fields.u32(), fields.u128(), fields.u64());
                self.run.event_id(partition, hour, id, i64::try_from(offset).unwrap_or(i64::MAX))?;
            }
            Walk::PostHours => {
                let (post, hour) = (fields.id(ids), fields.u32());
                self.run.post_hour(post, hour, &counters(&mut fields))?;
            }
            Walk::Histories => {
                let (reader, author, day) = (fields.id(ids), fields.id(ids), fields.u16());
                let sums = Partial { counters: counters(&mut fields), last_time: fields.i64() };
                self.run.history(reader, author, day, &sums)?;
                self.count(reader)?;
            }
        }
        Ok(())
    }

    /// One more row of a reader; those before are complete when another one comes.
    fn count(&mut self, reader: Id) -> Result<()> {
        match &mut self.reader {
            Some((same, rows)) if *same == reader => *rows = rows.saturating_add(1),
            _ => {
                self.end_reader()?;
                self.reader = Some((reader, 1));
            }
        }
        Ok(())
    }

    fn end_reader(&mut self) -> Result<()> {
        if let Some((reader, rows)) = self.reader.take() {
            self.bases.base(reader, &Base { as_of_ms: self.as_of_ms, rows, own_from: None })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.end_reader()?;
        self.bases.finish()?;
        Ok(self.run.finish()?)
    }
}

/// When a row was deleted, by the time its delete came.
fn removed(fields: &mut Fields<'_>) -> Option<TimestampMs> {
    let (deleted, ts) = (fields.u8() != 0, fields.i64());
    deleted.then_some(ts)
}

/// The sums of a row, as the node would have counted them itself: a count that is full stays full.
pub(crate) fn counters(fields: &mut Fields<'_>) -> Counters {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Counters {
        views: count(fields.u64()),
        impressions: count(fields.u64()),
        likes: count(fields.u64()),
        comments: count(fields.u64()),
        shares: count(fields.u64()),
        dwell_ms: fields.u64(),
    }
}
