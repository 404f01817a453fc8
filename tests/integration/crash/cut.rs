//! A power cut may take the unsynced end of the write-ahead log, at any byte. What is left is a prefix, and Kafka has
//! the rest.

use std::path::Path;

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, World};
use edgefeed_storage::model::IdKind;

use super::broker::Kafka;
use super::check::{Follower, Offsets, claims};
use super::dice::{Dice, times};
use super::files::{self, Damage};
use super::node::{Home, ROOMY, TIGHT};
use super::traffic::{NOISE_EVERY, noise};
use super::{messages, small_world};
use crate::compare;
use crate::formula::{apply, viewers};
use crate::log::history;
use crate::oracle::LogRecord;

/// Crash images that cuts are made in, at most: each must have enough of the log to itself.
const IMAGES: usize = 4;

#[test]
fn a_write_ahead_log_cut_at_any_byte_is_a_prefix_and_the_rest_of_kafka_completes_it() {
    let mut dice = Dice::of_run();
    let cuts = times("EDGEFEED_CUTS", 20);
    let world = World::new(small_world(dice.seed));
    let mut kafka = Kafka::start();
    let home = Home::new(&kafka.address(), "", TIGHT);
    let mut messages = messages(&world).into_iter();
    let cuts_of_image = cuts.div_ceil(IMAGES);
    let slice = messages.len() / IMAGES;
    let mut shortened = 0;
    for number in 0..cuts {
        if number.is_multiple_of(cuts_of_image) {
            for message in messages.by_ref().take(dice.between(slice / 2, slice)) {
                if kafka.log().len().is_multiple_of(NOISE_EVERY) {
                    kafka.write(noise(kafka.log().len(), message.time_ms));
                }
                kafka.write(message);
            }
            kafka.flush();
            // By turns much in table files and little in the log, and the other way round. Small batches, and no sync
            // but the one at the start: as much as can be is at the mercy of the cut.
            let memory = [ROOMY, TIGHT][number / cuts_of_image % 2];
            home.configure(&kafka.address(), "batch_records = 20", &format!("{memory}\nwal_sync_ms = 60000"));
            let node = home.start();
            node.wait_caught_up();
            node.kill();
            eprintln!("image of {} records in {} logs", kafka.log().len(), files::wals(&home.store()).len());
        }
        let damaged = home.beside("damaged");
        files::copy(&home.store(), &damaged);
        let done = Damage::ALL[number % Damage::ALL.len()].strike(&damaged, 0, &mut dice);
        eprintln!("cut {number}: {done}");
        shortened += usize::from(&recovers(&damaged, &kafka, &world) != kafka.ends());
        std::fs::remove_dir_all(damaged).unwrap();
    }
    assert!(shortened > 0, "not one of {cuts} cuts took anything");
}

/// What is left in `dir` is a prefix of the log, which is returned; with the rest it is the whole, and stays so.
fn recovers(dir: &Path, kafka: &Kafka, world: &World) -> Offsets {
    let (log, ends) = (kafka.log(), kafka.ends());
    let store = compare::open(dir, IdKind::U64);
    let left = claims(&store);
    let mut follower = Follower::new();
    follower.fold_to(&left, log);
    follower.compare(&store);
    follower.compare_letters(&store, u64::MAX);
    // Kafka hands out what comes after the offsets, and nothing before.
    let missing = |record: &&LogRecord| {
        left.get(&(record.topic.clone(), record.partition)).is_none_or(|next| record.offset >= *next)
    };
    let rest: Vec<LogRecord> = log.iter().filter(missing).cloned().collect();
    apply(&store, &rest, now_ms());
    follower.fold_to(ends, log);
    follower.compare(&store);
    follower.compare_letters(&store, u64::MAX);
    drop(store);
    // What was damaged is behind us: nothing of it comes back with the next start.
    let store = compare::open(dir, IdKind::U64);
    assert_eq!(&claims(&store), ends);
    follower.compare(&store);
    follower.compare_letters(&store, u64::MAX);
    follower.compare_feeds(&store, viewers(world, 4));
    left
}

#[test]
fn what_was_synced_survives_a_power_cut() {
    let mut dice = Dice::of_run();
    let world = World::new(small_world(dice.seed));
    let log = history(&world, &Encoding::new(IdKind::U64));
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    // Roomy enough that nothing is written out behind our back: the directory stands still between two writes.
    let store = compare::open(&live, IdKind::U64);
    let (synced, rest) = log.split_at(dice.between(500, log.len() / 2));
    let (unsynced, _) = rest.split_at(dice.between(500, rest.len() / 2));
    apply(&store, synced, now_ms());
    store.sync().unwrap();
    let (kept, (_, kept_bytes)) = (claims(&store), files::newest_wal(&live));
    apply(&store, unsynced, now_ms());
    let mut shortened = 0;
    for (number, damage) in Damage::ALL.into_iter().cycle().take(6).enumerate() {
        let damaged = dir.path().join(format!("damaged-{number}"));
        files::copy(&live, &damaged);
        let done = damage.strike(&damaged, kept_bytes, &mut dice);
        let found = holds(&damaged, &log);
        for (place, next) in &kept {
            assert!(found.get(place) >= Some(next), "{done}: {place:?} was synced at {next}, is at {found:?}");
        }
        shortened += usize::from(found != claims(&store));
    }
    assert!(shortened > 0, "no cut took anything");
}

/// What a store claims, having compared it.
fn holds(dir: &Path, log: &[LogRecord]) -> Offsets {
    let store = compare::open(dir, IdKind::U64);
    let mut follower = Follower::new();
    follower.fold_to(&claims(&store), log);
    follower.compare(&store);
    follower.compare_letters(&store, u64::MAX);
    claims(&store)
}
