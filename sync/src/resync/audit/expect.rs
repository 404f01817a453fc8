//! What the center should hold of a record: the row the sink makes of it, and what that says.

use std::collections::HashSet;

use edgefeed_storage::model::{Change, Id, IdKind, Outcome, RowChange, RowKey, TimestampMs};

use crate::center::audit::{of_cdc, of_event};
use crate::center::row::{self, CdcRow, EventRow, Origin};
use crate::decode::Aside;
use crate::sink::whole_values;

/// What a row is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    /// An event: its reader, its id.
    Event(Id, u128),
    /// A row of the application.
    Row(RowKey),
}

impl Name {
    /// For people.
    pub(super) fn told(&self, ids: IdKind) -> String {
        let id = |id: &Id| ids.format(*id);
        match self {
            Self::Event(user, event) => format!("event {} of {}", uuid::Uuid::from_u128(*event), id(user)),
            Self::Row(RowKey::Post(one) | RowKey::Comment(one) | RowKey::User(one)) => id(one),
            Self::Row(RowKey::Follow(one, two) | RowKey::Like(one, two) | RowKey::Block(one, two)) => {
                format!("{} {}", id(one), id(two))
            }
        }
    }
}

/// What a record comes to at the center.
#[derive(Debug)]
pub(super) enum Expected {
    /// No row.
    Nothing,
    /// Every row of the table up to this version is gone.
    Truncate(u64),
    /// A row.
    Row(Row),
}

/// A row that should be there, unless a newer one of the same name is.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: Name,
    /// 0 for events.
    pub(super) version: u64,
    /// What it says; `None` where the record left something out.
    pub(super) content: Option<u64>,
    /// Encoded, of no range.
    pub(super) bytes: Vec<u8>,
    /// Of an event, what it counts for.
    pub(super) counts_for: Option<CountsFor>,
}

/// What an event counts for: its reader, post and author, when it happened and when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CountsFor {
    pub(super) user: Id,
    pub(super) post: Id,
    pub(super) author: Option<Id>,
    pub(super) event_time: TimestampMs,
    pub(super) arrived: TimestampMs,
}

/// What a decoded record comes to. Of users who were `forgotten` there is nothing, whatever the log still has.
pub(super) fn expected(
    ids: IdKind,
    origin: &Origin<'_>,
    outcome: &Outcome,
    aside: &Aside,
    forgotten: &HashSet<Id>,
) -> Expected {
    match outcome {
        Outcome::Dead { .. } | Outcome::Change(Change::Nothing) => Expected::Nothing,
        Outcome::Change(Change::Event(event))
            if forgotten.contains(&event.user) || event.author.is_some_and(|author| forgotten.contains(&author)) =>
        {
            Expected::Nothing
        }
        Outcome::Change(Change::Event(event)) => {
            let row = EventRow { event, device: &aside.device, app_ver: &aside.app_ver };
            let mut bytes = Vec::with_capacity(192);
            row::event(&mut bytes, ids, &row, origin);
            row::seal(&mut bytes, 0, 0);
            let content = Some(of_event(ids, &row, origin.ts));
            let counts_for = Some(CountsFor {
                user: event.user,
                post: event.post,
                author: event.author,
                event_time: event.event_time,
                arrived: origin.ts,
            });
            Expected::Row(Row { name: Name::Event(event.user, event.event_id), version: 0, content, bytes, counts_for })
        }
        Outcome::Change(Change::Cdc(cdc)) => {
            let version = cdc.version.packed();
            if cdc.change == RowChange::Truncate {
                return Expected::Truncate(version);
            }
            let Some((row, deleted)) = whole_values(cdc, aside) else { return Expected::Nothing };
            if !deleted && users(&row).iter().any(|user| forgotten.contains(user)) {
                return Expected::Nothing;
            }
            let mut bytes = Vec::with_capacity(160);
            row::cdc(&mut bytes, ids, &row, version, deleted, origin);
            row::seal(&mut bytes, 0, 0);
            let content = (!cdc.leaves_out()).then(|| of_cdc(ids, &row, version, deleted, origin.ts));
            Expected::Row(Row { name: Name::Row(key(&row)), version, content, bytes, counts_for: None })
        }
    }
}

/// Whose row it is.
fn users(row: &CdcRow) -> [Id; 2] {
    match *row {
        CdcRow::Post { user_id, .. } | CdcRow::Comment { user_id, .. } | CdcRow::Like { user_id, .. } => [user_id; 2],
        CdcRow::Follow { follower_id, following_id, .. } => [follower_id, following_id],
        CdcRow::Block { blocker_id, blocked_id, .. } => [blocker_id, blocked_id],
    }
}

fn key(row: &CdcRow) -> RowKey {
    match *row {
        CdcRow::Post { id, .. } => RowKey::Post(id),
        CdcRow::Comment { id, .. } => RowKey::Comment(id),
        CdcRow::Follow { follower_id, following_id, .. } => RowKey::Follow(follower_id, following_id),
        CdcRow::Like { user_id, post_id, .. } => RowKey::Like(user_id, post_id),
        CdcRow::Block { blocker_id, blocked_id, .. } => RowKey::Block(blocker_id, blocked_id),
    }
}
