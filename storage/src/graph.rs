//! Facts about several users at once: whom they follow, and whether they are gone. For jobs and for what a reader asks
//! now and then; a feed needs none of it.

use crate::error::Result;
use crate::key::Family;
use crate::model::Id;
use crate::store::Store;
use crate::value::{self, LinkRow};

/// Rows of one user that are looked at, removed ones included: a bound on time, far above what any caller takes.
const ROWS_MAX: usize = 20_000;

impl Store {
    /// Whom a user follows, by ascending id, the first `max` of them.
    pub fn followed_by(&self, user: Id, max: usize, mut visit: impl FnMut(Id)) -> Result<()> {
        let (mut live, mut rows) = (0, 0);
        self.engine.scan(Family::Follows, &self.keys.one(user), |key, bytes| {
            if live == max || rows == ROWS_MAX {
                return Ok(false);
            }
            rows += 1;
            if let Some(([_, followed], _)) = self.keys.split::<2>(key)
                && value::decode::<LinkRow>(Family::Follows, bytes)?.removed.is_none()
            {
                live += 1;
                visit(followed);
            }
            Ok(true)
        })
    }

    /// Which of these users are known to be gone, in the order asked: a row of theirs was deleted. Of a user the log never
    /// spoke of nothing is known.
    pub fn gone(&self, users: &[Id]) -> Result<Vec<bool>> {
        let keys: Vec<_> = users.iter().map(|user| self.keys.one(*user)).collect();
        let rows = self.engine.get_many(Family::Users, &keys)?;
        let gone = |row: &Option<rocksdb::DBPinnableSlice<'_>>| match row {
            Some(bytes) => Ok(value::decode::<LinkRow>(Family::Users, bytes)?.removed.is_some()),
            None => Ok(false),
        };
        rows.iter().map(gone).collect()
    }
}
