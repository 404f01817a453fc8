//! `kill -9` at any moment, start-up included, loses nothing and doubles nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use edgefeed::world::World;
use edgefeed_storage::model::IdKind;

use super::broker::Kafka;
use super::check::{Follower, claims};
use super::dice::{Dice, times};
use super::node::{Home, TIGHT};
use super::{files, small_world, traffic};
use crate::compare;
use crate::formula::viewers;

/// How far the writer may run ahead of what was last seen applied. The broker keeps several times as much.
const WINDOW: usize = 12_000;
/// Dead letters kept: the noise in the traffic is large.
const LETTERS_MAX: u64 = 300;
/// Feeds are compared after one kill in so many.
const FEEDS_EVERY: usize = 5;

#[test]
fn kill_9_at_any_moment_under_live_load_loses_nothing_and_doubles_nothing() {
    let mut dice = Dice::of_run();
    let kills = times("EDGEFEED_KILLS", 20);
    let world = World::new(small_world(dice.seed));
    let kafka = Mutex::new(Kafka::start());
    let limit = AtomicUsize::new(WINDOW);
    let address = kafka.lock().unwrap().address();
    // Small batches: more places to die in.
    let storage = format!("{TIGHT}\ndead_letters_max = {LETTERS_MAX}");
    let home = Home::new(&address, "batch_records = 100", &storage);
    let mut follower = Follower::new();
    let tally = thread::scope(|scope| {
        // Dropped on the way out, failing or not, which ends the writer.
        let (_running, stop) = channel();
        let (world, kafka, limit) = (&world, &kafka, &limit);
        scope.spawn(move || traffic::write(world, kafka, limit, &stop));
        let mut tally = Tally::default();
        for number in 1..=kills {
            let node = home.start();
            // Some during start-up, some while it catches up, some while it follows.
            let latest = *dice.pick(&[300, 1_000, 2_500]);
            thread::sleep(Duration::from_micros(dice.below(latest * 1_000) as u64));
            node.kill();
            let folded = crash_is_a_prefix(&home, kafka, world, &mut follower, number);
            tally.count(folded, follower.behind(kafka.lock().unwrap_or_else(PoisonError::into_inner).ends()));
            limit.fetch_add(folded, Ordering::Relaxed);
        }
        tally
    });
    let kafka = kafka.into_inner().unwrap();
    kafka.flush();
    eprintln!("{kills} kills, {tally:?}, {} records", kafka.log().len());
    assert!(tally.moved > 0, "no node ever came to apply anything: {tally:?}");
    the_survivor_knows_everything(&home, &kafka, &world);
}

/// What the nodes were doing when they were killed, to see that the moments were worth anything.
#[derive(Debug, Default)]
struct Tally {
    /// Kills of nodes that had applied something.
    moved: usize,
    /// Kills of nodes that had more to apply.
    midway: usize,
}

impl Tally {
    fn count(&mut self, folded: usize, behind: i64) {
        self.moved += usize::from(folded > 0);
        self.midway += usize::from(folded > 0 && behind > 0);
    }
}

/// After a kill the store is the fold of what its offsets claim. Looked at in a copy, so that the next node meets the
/// directory as the kill left it. Returns how many records are new in it.
fn crash_is_a_prefix(
    home: &Home,
    kafka: &Mutex<Kafka>,
    world: &World,
    follower: &mut Follower,
    number: usize,
) -> usize {
    if !home.store().join("FORMAT").exists() {
        return 0;
    }
    let copy = home.beside("copy");
    files::copy(&home.store(), &copy);
    let store = compare::open(&copy, IdKind::U64);
    let folded = follower.fold_to(&claims(&store), kafka.lock().unwrap_or_else(PoisonError::into_inner).log());
    follower.compare(&store);
    follower.compare_letters(&store, LETTERS_MAX);
    if number.is_multiple_of(FEEDS_EVERY) {
        follower.compare_feeds(&store, viewers(world, 8));
    }
    drop(store);
    std::fs::remove_dir_all(copy).unwrap();
    folded
}

/// A last node is left in peace until it has read everything, and ends as it should.
fn the_survivor_knows_everything(home: &Home, kafka: &Kafka, world: &World) {
    let begun = Instant::now();
    let node = home.start();
    node.wait_caught_up();
    eprintln!("caught up {:?} after the last start", begun.elapsed());
    let (code, log) = node.terminate();
    assert_eq!(code, Some(0), "{log}");
    let store = compare::open(&home.store(), IdKind::U64);
    assert_eq!(&claims(&store), kafka.ends(), "every partition is read to its end");
    // Folded anew, in one piece.
    let mut follower = Follower::new();
    assert_eq!(follower.fold_to(kafka.ends(), kafka.log()), kafka.log().len());
    follower.compare(&store);
    follower.compare_letters(&store, LETTERS_MAX);
    follower.compare_feeds(&store, viewers(world, 20));
}
