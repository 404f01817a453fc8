//! Counts put right whatever was counted: for repairs.

use rocksdb::WriteBatch;

use crate::counters::{self, Additive, Partial};
use crate::error::Result;
use crate::key::{Family, Key};
use crate::model::{Counters, Day, Hour, Id, TimestampMs};
use crate::store::Store;

/// A count as it was looked at, and as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the parts of the keys")]
pub enum CountMend {
    /// What a reader did with an author's posts.
    Pair { user: Id, author: Id, arrival: Day, day: Day, held: Partial, due: Partial },
    /// What happened to a post in an hour.
    Hour { post: Id, hour: Hour, held: Counters, due: Counters },
}

impl Store {
    /// Replaces counts, in one write; tells how many. One that went on since the repair looked at it stays as it is. Posts'
    /// counters are read into the projection anew.
    pub fn mend_counts(&self, mends: &[CountMend], now_ms: TimestampMs) -> Result<usize> {
        let no_apply = self.writer.write();
        let (mut batch, mut done, mut hours) = (WriteBatch::default(), 0, false);
        let mut readers = Vec::new();
        for mend in mends {
            let put = match *mend {
                CountMend::Pair { user, author, arrival, day, held, due } => {
                    let key = self.keys.user_author_day(user, author, arrival, day);
                    let put = self.put_count(Family::UserAuthorDays, &key, held, due, &mut batch)?;
                    readers.extend(put.then_some(user));
                    put
                }
                CountMend::Hour { post, hour, held, due } => {
                    let key = self.keys.post_hour(post, hour);
                    let put = self.put_count(Family::PostHours, &key, held, due, &mut batch)?;
                    hours |= put;
                    put
                }
            };
            done += usize::from(put);
        }
        self.engine.write(batch)?;
        readers.into_iter().for_each(|reader| self.viewers.changed(reader));
        if hours {
            self.hot.write().start_over();
        }
        drop(no_apply);
        if hours {
            self.warm(now_ms)?;
        }
        Ok(done)
    }

    /// Puts what is due in the place of what is held; `false`, and nothing is changed, where something else is held by now.
    fn put_count<T: Additive + PartialEq>(
        &self,
        family: Family,
        key: &Key,
        held: T,
        due: T,
        batch: &mut WriteBatch,
    ) -> Result<bool> {
        let now = match self.engine.get(family, key)? {
            Some(bytes) => counters::decode(family, &bytes)?,
            None => T::default(),
        };
        if now != held {
            return Ok(false);
        }
        let at = self.engine.cf(family)?;
        if due == T::default() {
            batch.delete_cf(at, key);
        } else {
            batch.put_cf(at, key, counters::encode(&due));
        }
        Ok(true)
    }
}
