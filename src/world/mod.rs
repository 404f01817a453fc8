//! A synthetic social world: one generator for the demo, the tests and the benches.
//!
//! A world is a function of its [`WorldConfig`]: users whose popularity, diligence and number of follows have heavy
//! tails, posts over two weeks, readers who mostly read whom they follow, and a [`Cast`] that plays every special
//! case by name. It tells its past as a [`History`] (the database's snapshot, then changes and events in log order)
//! and goes on as [`Live`] traffic. A [`Fact`] becomes Kafka records through an [`Encoding`], or a
//! [`Change`](edgefeed_storage::model::Change) straight away.
//!
//! Nothing here reads a clock or does IO. The same recipe makes the same bytes.

mod cast;
mod changes;
mod config;
mod encode;
mod events;
mod fact;
mod followups;
mod history;
mod live;
mod mix;
mod partition;
mod people;
mod posts;
mod rows;
mod script;
mod snapshot;

#[cfg(test)]
mod tests;

use edgefeed_storage::model::{DAY_MS, Id, TimestampMs};

pub use cast::{Case, Cast, CastPost, Role};
pub use config::{DEFAULT_NOW_MS, WorldConfig};
pub use encode::{Encoding, Message, Shape, TimeStyle};
pub use fact::{EventFact, Fact, Op, RowFact, TableRow, What};
pub use history::History;
pub use live::Live;
pub use partition::partition_of;
pub use posts::PostRef;

use people::People;
use posts::Posts;

/// A synthetic social world. Holds two words a post and the cast; everything else is made when asked for.
#[derive(Clone, Debug)]
pub struct World {
    config: WorldConfig,
    people: People,
    posts: Posts,
    cast: Cast,
}

impl World {
    /// The world of a recipe. Counts and days below what the cases need are raised to it (see [`World::config`]).
    pub fn new(mut config: WorldConfig) -> Self {
        config.users = config.users.max(20);
        config.posts = config.posts.max(100);
        config.log_days = config.log_days.clamp(3, 30);
        config.post_days = config.post_days.clamp(config.log_days + 1, 60);
        config.follows_mean = config.follows_mean.max(1);
        let people =
            People { seed: config.seed, ids: config.ids, regular: config.users, follows_mean: config.follows_mean };
        let posts = Posts::new(config.seed, config.posts, config.post_days, config.now_ms, config.users);
        let snapshot_ms = config.now_ms - i64::from(config.log_days) * DAY_MS;
        let cast = Cast::new(&people, config.posts, snapshot_ms, config.now_ms);
        Self { config, people, posts, cast }
    }

    /// The recipe as it was taken.
    pub const fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// The special cases.
    pub const fn cast(&self) -> &Cast {
        &self.cast
    }

    /// When the database's snapshot was taken: the time of the first fact.
    pub fn snapshot_ms(&self) -> TimestampMs {
        self.config.now_ms - i64::from(self.config.log_days) * DAY_MS
    }

    /// How many ordinary users there are.
    pub const fn user_count(&self) -> u32 {
        self.people.regular
    }

    /// The id of an ordinary user, `0..user_count`: low numbers are famous, high numbers read most.
    pub fn user(&self, number: u32) -> Id {
        self.people.id(number)
    }

    /// How many ordinary posts there are.
    pub const fn post_count(&self) -> u32 {
        self.posts.count()
    }

    /// An ordinary post, `0..post_count`, oldest first.
    pub fn post(&self, number: u32) -> PostRef {
        self.posts.get(number, &self.people)
    }

    /// The past in log order: the snapshot's rows, then changes and events, times rising to now.
    pub fn history(&self) -> History<'_> {
        History::new(self)
    }

    /// What happens from now on. Another `salt` makes other events of the same world: give a new one to each run
    /// that continues on a kept log.
    pub fn live(&self, salt: u64) -> Live<'_> {
        Live::new(self, salt)
    }
}
