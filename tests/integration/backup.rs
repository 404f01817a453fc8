//! A backup taken under load comes back, elsewhere, as a prefix of the log; in a bucket as in a directory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use edgefeed::world::World;
use edgefeed_storage::model::IdKind;
use serde_json::Value;

use crate::compare;
use crate::crash::broker::Kafka;
use crate::crash::check::{Follower, claims};
use crate::crash::dice::{Dice, times};
use crate::crash::{small_world, traffic};
use crate::dlq::Place;
use crate::formula::viewers;

mod bucket;

/// How far the writer may run ahead of what was last seen applied.
const WINDOW: usize = 12_000;

fn add_config(place: &Place, text: &str) {
    let config = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), config + text).unwrap();
}

/// Restores a backup in a directory of its own and holds it against the fold of what it claims; tells how many records
/// it holds.
fn comes_back(place: &Place, id: &str, into: &Path, kafka: &Mutex<Kafka>, world: &World) -> usize {
    let restored = place.say(&format!("backup restore {id} --into {} --output json", into.display())).json();
    assert_eq!(restored["backup"]["id"], id);
    let store = compare::open(into, IdKind::U64);
    let mut follower = Follower::new();
    let folded = follower.fold_to(&claims(&store), kafka.lock().unwrap_or_else(PoisonError::into_inner).log());
    follower.compare(&store);
    follower.compare_feeds(&store, viewers(world, 6));
    folded
}

#[test]
fn a_backup_under_load_comes_back_as_a_prefix_of_the_log_and_goes_on_from_there() {
    let dice = Dice::of_run();
    let backups = times("EDGEFEED_BACKUPS", 3);
    let world = World::new(small_world(dice.seed));
    let mut place = Place::new(Kafka::start());
    let depot = place.home.beside("depot");
    add_config(&place, &format!("[backup]\nurl = \"{}\"\nkeep = 100\n", depot.display()));
    let kafka = Mutex::new(std::mem::replace(&mut place.kafka, Kafka::start()));
    let limit = AtomicUsize::new(WINDOW);
    let node = place.home.start();
    let made: Vec<Value> = thread::scope(|scope| {
        let (_running, stop) = channel();
        let (world, kafka, limit) = (&world, &kafka, &limit);
        scope.spawn(move || traffic::write(world, kafka, limit, &stop));
        node.wait_until("to have begun", |ingest| {
            ingest["topics"]["events"]["partitions"]["0"]["next_offset"].as_i64().is_some_and(|next| next > 100)
        });
        (0..backups)
            .map(|_| {
                let made = place.say("backup create --output json").json();
                limit.fetch_add(WINDOW, Ordering::Relaxed);
                made
            })
            .collect()
    });
    kafka.lock().unwrap().flush();
    node.wait_caught_up();
    assert_eq!(node.terminate().0, Some(0));
    let mut last = 0;
    for (number, made) in made.iter().enumerate() {
        let into = place.home.beside(&format!("back-{number}"));
        let folded = comes_back(&place, made["backup"]["id"].as_str().unwrap(), &into, &kafka, &world);
        assert!(folded >= last, "a later backup holds no less: {folded} after {last}");
        last = folded;
    }
    eprintln!("{backups} backups, the last of {last} records; sent {:?}", sent(&made));
    assert!(last > 1_000, "there was hardly any load: {last}");
    // A node that begins there reads the rest, and knows everything.
    std::fs::remove_dir_all(place.home.store()).unwrap();
    let restored = place.say("backup restore --output json").json();
    assert_eq!(restored["backup"]["id"], made.last().unwrap()["backup"]["id"]);
    place.follow();
    let kafka = kafka.into_inner().unwrap();
    let store = compare::open(&place.home.store(), IdKind::U64);
    assert_eq!(&claims(&store), kafka.ends());
    let mut follower = Follower::new();
    follower.fold_to(kafka.ends(), kafka.log());
    follower.compare(&store);
    follower.compare_feeds(&store, viewers(&world, 10));
}

fn sent(made: &[Value]) -> Vec<&Value> {
    made.iter().map(|made| &made["sent_bytes"]).collect()
}

#[test]
fn a_restore_takes_no_directory_that_is_not_empty_and_none_that_is_held() {
    let place = Place::new(Kafka::start());
    let depot = place.home.beside("depot");
    add_config(&place, &format!("[backup]\nurl = \"{}\"\n", depot.display()));
    place.follow();
    assert_eq!(place.say("backup restore").code, Some(1), "there is none yet");
    assert_eq!(place.say("backup create").code, Some(0));
    let node = place.home.start();
    node.wait_caught_up();
    let held = place.say("backup restore");
    assert_eq!((held.code, held.err.contains("holds a store")), (Some(1), true), "{}", held.err);
    assert_eq!(node.terminate().0, Some(0));
    let free = place.say("backup restore");
    assert_eq!((free.code, &free.err), (Some(1), &held.err));
    let files = |dir: PathBuf| std::fs::read_dir(dir).unwrap().count();
    assert!(files(place.home.store()) >= 2, "nothing was touched");
    // Another cluster's offsets mean nothing here.
    let foreign = place.home.beside("foreign");
    let other = place.say(&format!("backup restore --into {} --set node.cluster=other", foreign.display()));
    assert_eq!(other.code, Some(1), "{}", other.err);
    assert!(!foreign.exists());
}
