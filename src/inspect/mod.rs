//! What the node holds of a user, a post, an author, and of itself: the same from a running node and from its store
//! alone.

mod answers;

#[cfg(test)]
mod tests;

use edgefeed_storage::FORMAT;
use edgefeed_storage::model::{HOUR_MS, Id, IdKind, TimestampMs};
use edgefeed_sync::logs::logs;

pub use answers::{
    Author, Base, Family, History, Hour, Listed, Noted, Offsets, Partition, Post, Row, StoreSize, User, WhenPost,
};

use crate::feed::{JsonId, rfc3339};
use crate::kept::Kept;
pub use crate::kept::{Result, Trouble};

/// The most entries of each list.
pub const LIST_MAX: usize = 10_000;
/// The entries of each list when nothing is said.
pub const LIST_DEFAULT: usize = 20;

/// A store to look into.
#[derive(Clone, Debug)]
pub struct Inspector {
    store: Kept,
    kafka: edgefeed_sync::Config,
}

impl Inspector {
    /// Of a store, with the settings of Kafka that tell how far its logs go.
    pub fn new(store: impl Into<Kept>, kafka: edgefeed_sync::Config) -> Self {
        Self { store: store.into(), kafka }
    }

    /// A user as a reader; `most` bounds each list.
    ///
    /// # Errors
    /// An id of the other kind; the store's.
    pub fn user(&self, id: &str, most: usize, now_ms: TimestampMs) -> Result<User> {
        let id = self.id(id)?;
        let state = self.store.now().user_state(id, now_ms, most)?;
        let when = |(post, at): (Id, TimestampMs)| WhenPost { post: self.json(post), at: rfc3339(at) };
        let ids = |sample| Listed::of(sample, |id| self.json(id));
        Ok(User {
            user: self.json(id),
            row: state.row.map(|row| Row { version: row.version, removed_at: row.removed.map(rfc3339) }),
            forgotten: state.forgotten.map(|row| Noted {
                at: rfc3339(row.at),
                removed_here: row.swept,
                removed_at_center: row.told,
            }),
            follows: ids(state.follows),
            followers: ids(state.followers),
            blocks: ids(state.blocks),
            blocked_by: ids(state.blocked_by),
            likes: ids(state.likes),
            hides: Listed::of(state.hides, when),
            viewed: Listed::of(state.viewed, when),
            history: Listed::of(state.history, |(author, with)| History {
                author: self.json(author),
                own: with.own,
                base: with.base,
            }),
            base: state.base.map(|base| Base { as_of: rfc3339(base.as_of_ms), rows: base.rows }),
        })
    }

    /// A post.
    ///
    /// # Errors
    /// An id of the other kind; the store's.
    pub fn post(&self, id: &str) -> Result<Post> {
        let id = self.id(id)?;
        let state = self.store.now().post_state(id)?;
        let row = state.row.as_ref();
        let known = match row {
            None => "unknown",
            Some(row) if row.removed.is_some() => "removed",
            Some(row) if row.hidden => "hidden",
            Some(_) => "live",
        };
        let written = row.and_then(|row| row.author);
        Ok(Post {
            post: self.json(id),
            state: known.to_owned(),
            author: written.map(|(author, _)| self.json(author)),
            created_at: written.map(|(_, at)| rfc3339(at)),
            removed_at: row.and_then(|row| row.removed).map(rfc3339),
            version: row.map(|row| row.version),
            like_count: u64::try_from(state.counts.likes).unwrap_or(0),
            comment_count: u64::try_from(state.counts.comments).unwrap_or(0),
            hours: state
                .hours
                .into_iter()
                .map(|(hour, events)| Hour { hour: rfc3339(i64::from(hour) * HOUR_MS), events })
                .collect(),
        })
    }

    /// A user as an author; `most` bounds each list.
    ///
    /// # Errors
    /// An id of the other kind; the store's.
    pub fn author(&self, id: &str, most: usize, now_ms: TimestampMs) -> Result<Author> {
        let id = self.id(id)?;
        let state = self.store.now().author_state(id, now_ms, most)?;
        Ok(Author {
            author: self.json(id),
            posts: Listed::of(state.posts, |(post, at)| WhenPost { post: self.json(post), at: rfc3339(at) }),
            in_memory: state.in_memory,
            followers: Listed::of(state.followers, |id| self.json(id)),
        })
    }

    /// How far each partition is applied, and how far its log goes. Waits for the brokers a few seconds; without them
    /// the logs are not told.
    ///
    /// # Errors
    /// The store's.
    pub fn offsets(&self) -> Result<Offsets> {
        let positions = self.store.now().positions()?;
        let (logs, kafka) = match logs(&self.kafka) {
            Ok(logs) => (logs, None),
            Err(error) => (edgefeed_sync::logs::Logs::default(), Some(error.to_string())),
        };
        let mut places: Vec<_> = positions.keys().chain(logs.extents.keys()).copied().collect();
        places.sort_unstable();
        places.dedup();
        let partitions = places.into_iter().map(|at| {
            let (held, log) = (positions.get(&at), logs.extents.get(&at));
            Partition {
                topic: self.kafka.topics.name_of(at.topic).unwrap_or(at.topic.name()).to_owned(),
                partition: at.partition,
                next_offset: held.map(|held| held.next_offset),
                last_time: held.map(|held| rfc3339(held.last_time)),
                watermark: held.map(|held| rfc3339(held.watermark)),
                marked_from: held.map(|held| held.marked_from),
                log_start: log.map(|log| log.start),
                log_end: log.map(|log| log.end),
                lag: log.map(|log| (log.end - held.map_or(log.start, |held| held.next_offset)).max(0)),
            }
        });
        Ok(Offsets { partitions: partitions.collect(), kafka })
    }

    /// How much the store holds.
    ///
    /// # Errors
    /// The store's.
    pub fn store(&self) -> Result<StoreSize> {
        let store = self.store.now();
        let stats = store.stats()?;
        let families: Vec<_> = stats
            .disk_bytes
            .iter()
            .map(|(name, bytes)| Family {
                family: (*name).to_owned(),
                disk_bytes: *bytes,
                entries: stats.entries.get(name).copied().unwrap_or(0),
            })
            .collect();
        let disk_bytes = families.iter().map(|family| family.disk_bytes).sum();
        Ok(StoreSize { format: FORMAT, ids: store.ids(), disk_bytes, families })
    }

    fn id(&self, text: &str) -> Result<Id> {
        id_of(self.store.now().ids(), text)
    }

    fn json(&self, id: Id) -> serde_json::Value {
        // An id is text or a number: this cannot fail.
        serde_json::to_value(JsonId(self.store.now().ids(), id)).unwrap_or_default()
    }
}

/// An id of this deployment, as an operator writes it.
///
/// # Errors
/// Anything else.
pub fn id_of(ids: IdKind, text: &str) -> Result<Id> {
    ids.parse(text).ok_or_else(|| {
        let form = match ids {
            IdKind::Uuid => "a UUID, like 0b1f2c3d-0000-4000-8000-000000000000",
            IdKind::U64 => "a number, like 17",
        };
        Trouble::Asked(format!("{text:?} is no id here: node.ids = \"{}\", so write {form}", ids.name()))
    })
}
