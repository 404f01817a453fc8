//! A node that dies at any moment, and a disk that loses the end of a file, cost nothing: after each of them the store
//! holds exactly what its own offsets claim, and goes on from there.
//!
//! The node is the real binary in a process of its own; the log lives in the test's process and survives it.

pub(crate) mod broker;
pub(crate) mod check;
mod cut;
pub(crate) mod dice;
pub(crate) mod files;
pub(crate) mod group;
mod kill;
pub(crate) mod node;
pub(crate) mod poison;
pub(crate) mod traffic;

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, Message, World, WorldConfig};
use edgefeed_storage::model::IdKind;

/// A world as it is now, small enough for the embedded broker to keep all of it.
pub(crate) fn small_world(seed: u64) -> WorldConfig {
    WorldConfig {
        now_ms: now_ms(),
        users: 100,
        posts: 1_000,
        follows_mean: 10,
        events: 8_000,
        like_rows: 1_000,
        comment_rows: 400,
        blocks: 30,
        ..WorldConfig::small(seed, IdKind::U64)
    }
}

/// A world's history as records without a place in a log.
pub(crate) fn messages(world: &World) -> Vec<Message> {
    let encoding = Encoding::new(world.config().ids);
    world.history().flat_map(|fact| encoding.encode(&fact)).collect()
}
