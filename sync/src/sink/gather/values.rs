//! The row a change makes at the center.

use edgefeed_storage::Store;
use edgefeed_storage::model::{Cdc, Field, Id, Row, RowChange, RowKey, TimestampMs};

use crate::center::row::CdcRow;
use crate::decode::Aside;
use crate::error::Result;

/// What the store holds of a row whose record left something out.
#[derive(Debug, Default)]
pub(super) struct Held {
    user: Option<Id>,
    post: Option<Id>,
    created_at: Option<TimestampMs>,
    hidden: bool,
}

/// Looks up what a record left out; `None` when the store does not know it either.
pub(super) fn held(cdc: &Cdc, store: &Store) -> Result<Option<Held>> {
    Ok(match cdc.change {
        RowChange::Upsert(Row::Post { id, .. }) => store.post_row(id)?.and_then(|row| {
            let (user, created_at) = row.author?;
            Some(Held { user: Some(user), created_at: Some(created_at), hidden: row.hidden, post: None })
        }),
        RowChange::Upsert(Row::Comment { id, .. }) => store
            .comment_row(id)?
            .and_then(|row| Some(Held { post: Some(row.post?), user: row.user, ..Held::default() })),
        _ => Some(Held::default()),
    })
}

/// The row a change makes at the center, and whether it is gone; `None` for what has no table there. Of a deleted row
/// only the key is known.
pub(super) fn values(cdc: &Cdc, aside: &Aside, held: &Held) -> Option<(CdcRow, bool)> {
    let created_at = aside.created_at.or(held.created_at).unwrap_or_default();
    Some(match cdc.change {
        RowChange::Upsert(Row::Post { id, author, created_at: known, deleted }) => {
            let deleted_at = match deleted {
                Field::Known(false) => None,
                Field::Known(true) => Some(aside.deleted_at.unwrap_or_default()),
                Field::Unchanged => held.hidden.then_some(0),
            };
            let user_id = author.or(held.user).unwrap_or(Id(0));
            (
                CdcRow::Post { id, user_id, created_at: known.or(held.created_at).unwrap_or(created_at), deleted_at },
                false,
            )
        }
        RowChange::Upsert(Row::Comment { id, post, user }) => {
            let (post_id, user_id) =
                (post.or(held.post).unwrap_or(Id(0)), user.or(aside.user).or(held.user).unwrap_or(Id(0)));
            (CdcRow::Comment { id, post_id, user_id, created_at }, false)
        }
        RowChange::Upsert(Row::Follow { follower: follower_id, following: following_id }) => {
            (CdcRow::Follow { follower_id, following_id, created_at }, false)
        }
        RowChange::Upsert(Row::Like { user: user_id, post: post_id }) => {
            (CdcRow::Like { user_id, post_id, created_at }, false)
        }
        RowChange::Upsert(Row::Block { blocker: blocker_id, blocked: blocked_id }) => {
            (CdcRow::Block { blocker_id, blocked_id, created_at }, false)
        }
        RowChange::Delete(key) => (gone(key)?, true),
        RowChange::Upsert(Row::User { .. }) | RowChange::Truncate => return None,
    })
}

/// A row of which only the key is known.
fn gone(key: RowKey) -> Option<CdcRow> {
    let (none, created_at) = (Id(0), 0);
    Some(match key {
        RowKey::Post(id) => CdcRow::Post { id, user_id: none, created_at, deleted_at: None },
        RowKey::Comment(id) => CdcRow::Comment { id, post_id: none, user_id: none, created_at },
        RowKey::Follow(follower_id, following_id) => CdcRow::Follow { follower_id, following_id, created_at },
        RowKey::Like(user_id, post_id) => CdcRow::Like { user_id, post_id, created_at },
        RowKey::Block(blocker_id, blocked_id) => CdcRow::Block { blocker_id, blocked_id, created_at },
        RowKey::User(_) => return None,
    })
}
