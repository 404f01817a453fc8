//! The order and the scores of a feed are the contract's formula, whatever the world and the time zone.

use edgefeed::world::{Encoding, Role, Shape, TimeStyle, World, WorldConfig};
use edgefeed_storage::Store;
use edgefeed_storage::model::{Id, IdKind, TimestampMs};

use crate::compare;
use crate::log::{decoded, history, settings};
use crate::oracle::{LogRecord, Oracle};

/// Applies a log in batches of uneven size.
pub(crate) fn apply(store: &Store, log: &[LogRecord], now_ms: TimestampMs) {
    let settings = settings(store.ids());
    let mut rest = log;
    let mut size = 1;
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let records: Vec<_> = batch.iter().map(|record| decoded(record, &settings, now_ms)).collect();
        store.apply(&records, now_ms).unwrap();
        rest = later;
        size = size * 7 % 997 + 1;
    }
}

pub(crate) fn fold(oracle: &mut Oracle, log: &[LogRecord], now_ms: TimestampMs) {
    for record in log {
        oracle.fold(record, now_ms);
    }
}

/// Everybody the cast plays, and some of the ordinary.
pub(crate) fn viewers(world: &World, ordinary: usize) -> Vec<Id> {
    let step = (world.user_count() as usize / ordinary.max(1)).max(1);
    let ordinary = (0..world.user_count()).step_by(step).map(|number| world.user(number));
    Role::ALL.into_iter().map(|role| world.cast().id(role)).chain(ordinary).collect()
}

fn feeds_are_the_formula(config: WorldConfig, encoding: &Encoding) {
    let (ids, now_ms) = (config.ids, config.now_ms);
    let world = World::new(config);
    let log = history(&world, encoding);
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), ids);
    let mut oracle = Oracle::new(ids, 0);
    // Half of the log meets a cold projection, the other half a warm one with readers' facts already kept.
    let (first, second) = log.split_at(log.len() / 2);
    apply(&store, first, now_ms);
    fold(&mut oracle, first, now_ms);
    let viewers = viewers(&world, 60);
    let feed = compare::feed_over(&store);
    compare::feeds(&store, &feed, &oracle, viewers.iter().copied(), now_ms);
    store.warm(now_ms).unwrap();
    apply(&store, second, now_ms);
    fold(&mut oracle, second, now_ms);
    let feed = compare::feed_over(&store);
    compare::facts(&store, &oracle, now_ms);
    compare::feeds(&store, &feed, &oracle, viewers.iter().copied(), now_ms);
    // The same from what a fresh start reads, and with everything compacted.
    store.settle().unwrap();
    store.warm(now_ms).unwrap();
    compare::facts(&store, &oracle, now_ms);
    compare::feeds(&store, &feed, &oracle, viewers.iter().copied(), now_ms);
}

#[test]
fn feeds_of_a_world_with_uuids_are_the_formula() {
    feeds_are_the_formula(WorldConfig::small(1, IdKind::Uuid), &Encoding::new(IdKind::Uuid));
}

#[test]
fn feeds_of_a_world_with_integers_are_the_formula() {
    let encoding = Encoding { ids: IdKind::U64, shape: Shape::WithSchema, times: TimeStyle::Micros };
    feeds_are_the_formula(WorldConfig::small(2, IdKind::U64), &encoding);
}

#[test]
fn feeds_that_reach_every_cap_are_the_formula() {
    let mut config = WorldConfig::small(3, IdKind::U64);
    (config.users, config.posts, config.follows_mean, config.events) = (600, 12_000, 120, 60_000);
    feeds_are_the_formula(config, &Encoding::new(IdKind::U64));
}
