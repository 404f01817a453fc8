//! `TRUNCATE`, where the operator allows it: every row older than it goes, as if deleted one by one.

use super::rows::Fold;
use super::{Pending, Writer};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::Family;
use crate::model::{Cdc, RowKey, Topic};

impl Writer {
    pub(super) fn fold_truncate(
        &self,
        engine: &Engine,
        topic: Topic,
        cdc: &Cdc,
        pending: &mut Pending,
    ) -> Result<Fold> {
        let mut rows = Vec::new();
        engine.scan_all(family(topic), &[], |key, _| {
            rows.extend(self.row_key(topic, key));
            Ok(true)
        })?;
        rows.extend(pending.posts.keys().filter(|_| topic == Topic::Posts).map(|id| RowKey::Post(*id)));
        rows.extend(pending.comments.keys().filter(|_| topic == Topic::Comments).map(|id| RowKey::Comment(*id)));
        let written = pending.links.keys().filter(|(held, _)| *held == family(topic));
        rows.extend(written.filter_map(|(_, key)| self.row_key(topic, key.as_ref())));
        for row in rows {
            self.fold_delete(engine, row, cdc, pending)?;
        }
        Ok(Fold::Applied)
    }

    fn row_key(&self, topic: Topic, key: &[u8]) -> Option<RowKey> {
        let one = || self.keys.split::<1>(key).map(|([id], _)| id);
        let two = || self.keys.split::<2>(key).map(|(ids, _)| ids);
        Some(match topic {
            Topic::Posts => RowKey::Post(one()?),
            Topic::Comments => RowKey::Comment(one()?),
            Topic::Users => RowKey::User(one()?),
            Topic::Follows => two().map(|[follower, following]| RowKey::Follow(follower, following))?,
            Topic::Likes => two().map(|[user, post]| RowKey::Like(user, post))?,
            Topic::Blocks => two().map(|[blocker, blocked]| RowKey::Block(blocker, blocked))?,
            Topic::Events => return None,
        })
    }
}

const fn family(topic: Topic) -> Family {
    match topic {
        Topic::Follows => Family::Follows,
        Topic::Comments => Family::Comments,
        Topic::Likes => Family::Likes,
        Topic::Blocks => Family::Blocks,
        Topic::Users => Family::Users,
        // Events know no truncate; a record of theirs is never decoded into one.
        Topic::Posts | Topic::Events => Family::Posts,
    }
}
