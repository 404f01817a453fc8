//! Counts put right whatever was counted: for repairs.

use rocksdb::WriteBatch;

use crate::counters::{self, Partial};
use crate::error::Result;
use crate::key::Family;
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
        let _no_apply = self.writer.write();
        let (mut batch, mut done, mut readers, mut hours) = (WriteBatch::default(), 0, Vec::new(), false);
        for mend in mends {
            match *mend {
                CountMend::Pair { user, author, arrival, day, held, due } => {
                    let key = self.keys.user_author_day(user, author, arrival, day);
                    if self.counted::<Partial>(Family::UserAuthorDays, &key)? != held {
                        continue;
                    }
                    let family = self.engine.cf(Family::UserAuthorDays)?;
                    match due == Partial::default() {
                        true => batch.delete_cf(family, key),
                        false => batch.put_cf(family, key, counters::encode(&due)),
                    }
                    readers.push(user);
                }
                CountMend::Hour { post, hour, held, due } => {
                    let key = self.keys.post_hour(post, hour);
                    if self.counted::<Counters>(Family::PostHours, &key)? != held {
                        continue;
                    }
                    let family = self.engine.cf(Family::PostHours)?;
                    match due == Counters::default() {
                        true => batch.delete_cf(family, key),
                        false => batch.put_cf(family, key, counters::encode(&due)),
                    }
                    hours = true;
                }
            }
            done += 1;
        }
        self.engine.write(batch)?;
        readers.into_iter().for_each(|reader| self.viewers.changed(reader));
        if hours {
            self.hot.write().start_over();
        }
        drop(_no_apply);
        if hours {
            self.warm(now_ms)?;
        }
        Ok(done)
    }

    fn counted<T: counters::Additive>(&self, family: Family, key: &crate::key::Key) -> Result<T> {
        match self.engine.get(family, key)? {
            Some(bytes) => counters::decode(family, &bytes),
            None => Ok(T::default()),
        }
    }
}
