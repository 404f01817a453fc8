//! What forgetting removes, and that it stays removed.

use std::path::Path;

use super::*;
use crate::model::{
    Action, Cdc, Change, DeadReason, Event, Field, HOUR_MS, IdKind, Outcome, Record, Refusal, Row, RowChange, RowKey,
    Topic, TopicPartition, Version, day_of,
};
use crate::{Config, OpenOptions, Partial};

const NOW: TimestampMs = 1_795_376_817_860;
/// Who goes, and somebody who stays.
const ANN: Id = Id(11);
const BOB: Id = Id(22);
const CY: Id = Id(33);

fn open(dir: &Path) -> Store {
    let config = Config { dir: dir.to_owned(), memory_budget_bytes: 64 << 20, ..Config::default() };
    Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
}

/// A log that is written as it is read: one partition a topic.
#[derive(Default)]
struct Log(Vec<Record>);

impl Log {
    fn push(&mut self, topic: Topic, time: TimestampMs, outcome: Outcome) {
        let offset = self.0.len() as i64;
        let at = TopicPartition { topic, partition: 0 };
        self.0.push(Record { at, offset, time, outcome, raw: None });
    }

    fn row(&mut self, topic: Topic, row: Row) {
        self.cdc(topic, RowChange::Upsert(row));
    }

    fn cdc(&mut self, topic: Topic, change: RowChange) {
        let version = Version::from_lsn(0, 1 + self.0.len() as u64);
        self.push(topic, NOW, Outcome::Change(Change::Cdc(Cdc { version, commit_time: NOW, change })));
    }

    fn event(&mut self, time: TimestampMs, user: Id, post: u128, author: Id, action: Action) {
        let event_id = self.0.len() as u128;
        let event =
            Event { event_id, event_time: time, user, post: Id(post), author: Some(author), action, dwell_ms: 0 };
        self.push(Topic::Events, time, Outcome::Change(Change::Event(event)));
    }

    fn letter(&mut self, value: &str) {
        let refusal = Refusal { reason: DeadReason::Malformed, detail: String::new() };
        let outcome = Outcome::Dead { refusal, key: None, value: Some(value.as_bytes().to_vec()) };
        self.push(Topic::Likes, NOW, outcome);
    }
}

fn post(id: u128, author: Id) -> Row {
    Row::Post {
        id: Id(id),
        author: Field::Known(author),
        created_at: Field::Known(NOW - HOUR_MS),
        deleted: Field::Known(false),
    }
}

/// Ann and Bob do everything to each other that can be done; Cy looks on.
fn world() -> Log {
    let mut log = Log::default();
    for (user, id) in [(ANN, 100), (BOB, 200)] {
        log.row(Topic::Users, Row::User { id: user });
        log.row(Topic::Posts, post(id, user));
        log.row(Topic::Posts, post(id + 1, user));
        log.cdc(Topic::Posts, RowChange::Delete(RowKey::Post(Id(id + 1))));
    }
    for (one, other, theirs) in [(ANN, BOB, 200), (BOB, ANN, 100)] {
        log.row(Topic::Follows, Row::Follow { follower: one, following: other });
        log.row(Topic::Follows, Row::Follow { follower: CY, following: one });
        log.cdc(Topic::Follows, RowChange::Delete(RowKey::Follow(CY, one)));
        log.row(Topic::Blocks, Row::Block { blocker: one, blocked: other });
        log.row(Topic::Likes, Row::Like { user: one, post: Id(theirs) });
        log.row(Topic::Comments, Row::Comment { id: Id(one.0 * 10), post: Field::Known(Id(theirs)), user: Some(one) });
        for action in [Action::View, Action::Like, Action::Hide] {
            log.event(NOW - 5, one, theirs, other, action);
        }
        log.event(NOW - 5, CY, theirs, other, Action::View);
        log.letter(&format!(r#"{{"user_id":{}"#, one.0));
    }
    log
}

/// Everything the store holds, as text, without the word that Ann is forgotten and what is said of the log itself.
fn contents(store: &Store) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let log = [Family::Forgotten, Family::Offsets, Family::Meta, Family::Marks, Family::Dedup];
    for family in Family::ALL.into_iter().filter(|family| !log.contains(family)) {
        store
            .engine
            .scan_all(family, &[], |key, bytes| {
                // That there was a post, and that nothing counts for one, is no trace of anybody.
                let empty = match family {
                    Family::Posts => value::decode::<PostRow>(family, bytes)?.author.is_none(),
                    Family::PostCounts => counters::decode::<RowCounts>(family, bytes)? == RowCounts::default(),
                    _ => false,
                };
                if !empty {
                    all.push((family.name(), key.to_vec(), bytes.to_vec()));
                }
                Ok(true)
            })
            .unwrap();
    }
    all
}

/// Whether a key or a value holds Ann's id, as ids stand in keys and (below 251) in values.
fn names_ann(store: &Store) -> Vec<&'static str> {
    let key = ANN.0.to_be_bytes();
    let named = |bytes: &[u8]| bytes.windows(8).any(|window| window == &key[8..]);
    contents(store).into_iter().filter(|(_, key, _)| named(key)).map(|(family, ..)| family).collect()
}

fn forget(store: &Store) -> Removed {
    assert_eq!(store.forget(&[(ANN, NOW)], true).unwrap(), [ANN]);
    store.sweep_forgotten(|| true).unwrap().unwrap()
}

#[test]
fn everything_of_a_user_goes_both_ways_and_nothing_of_anybody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.warm(NOW).unwrap();
    store.apply(&world().0, NOW).unwrap();
    store
        .put_history(BOB, &[(ANN, day_of(NOW), Partial::default()), (CY, day_of(NOW), Partial::default())], NOW, None)
        .unwrap();
    store.put_history(ANN, &[(BOB, day_of(NOW), Partial::default())], NOW, None).unwrap();
    assert!(!names_ann(&store).is_empty());
    let would = store.kept_of(ANN).unwrap();
    let did = forget(&store);
    assert_eq!(did, would, "a dry run tells what is done");
    let expected = [
        ("blocks", 2),
        ("comments", 1),
        ("dead_letters", 1),
        ("follows", 3),
        ("hides", 1),
        ("history", 2),
        ("history_of", 1),
        ("likes", 1),
        ("posts", 2),
        ("user_author_days", 3),
        ("users", 1),
        ("viewed", 1),
    ];
    assert_eq!(did, Removed::from(expected));
    assert_eq!(names_ann(&store), [""; 0]);
    // Bob's is whole, without what Ann did.
    let bobs = store.post_state(Id(200)).unwrap();
    assert_eq!(
        (bobs.counts, bobs.hours[0].1.views),
        (RowCounts::default(), 2),
        "what was counted is nobody's any more"
    );
    let view = store.view(CY, NOW).unwrap();
    assert!(view.find(Id(100)).is_none() && view.find(Id(200)).is_some());
    let facts = view.facts(view.find(Id(200)).unwrap()).unwrap();
    assert_eq!((facts.like_count(), facts.comment_count()), (0, 0));
    drop(view);
    let bob = store.view(BOB, NOW).unwrap().viewer();
    assert!(bob.follows.is_empty() && bob.blocked.is_empty());
    assert_eq!(store.kept_of(ANN).unwrap().values().sum::<u64>(), 0);
    assert!(store.sweep_forgotten(|| true).unwrap().is_none(), "once is enough");
    assert!(forget(&store).values().all(|count| *count == 0), "and twice is the same");
}

#[test]
fn a_replay_brings_nothing_back_and_counts_what_it_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("one"));
    store.apply(&world().0, NOW).unwrap();
    forget(&store);
    let after = contents(&store);
    // A new store that knows of the word first, as one that starts from nothing does.
    let replayed = open(&dir.path().join("two"));
    replayed.forget(&[(ANN, NOW)], false).unwrap();
    let applied = replayed.apply(&world().0, NOW).unwrap();
    assert_eq!(applied.forgotten[&Topic::Events], 7);
    assert_eq!(applied.forgotten[&Topic::Follows], 4);
    forget(&replayed);
    assert_eq!(contents(&replayed), after);
    // The rows it left out make none at the center either.
    let marks =
        |topic, store: &Store| store.marks(TopicPartition { topic, partition: 0 }, 0..=99).unwrap().len() as u64;
    for (topic, count) in applied.forgotten {
        assert_eq!(marks(topic, &replayed), count, "{topic:?}");
    }
}

#[test]
fn what_comes_after_is_dropped_whole_and_a_new_start_knows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut log = world();
    store.apply(&log.0, NOW).unwrap();
    forget(&store);
    let after = contents(&store);
    let seen = log.0.len();
    log.event(NOW, ANN, 200, BOB, Action::View);
    log.event(NOW + 1, BOB, 100, ANN, Action::Like);
    log.row(Topic::Posts, post(102, ANN));
    log.row(Topic::Users, Row::User { id: ANN });
    log.row(Topic::Follows, Row::Follow { follower: BOB, following: ANN });
    drop(store);
    let store = open(dir.path());
    let applied = store.apply(&log.0[seen..], NOW + 1).unwrap();
    assert_eq!(applied.forgotten.values().sum::<u64>(), 5);
    store.put_history(ANN, &[(BOB, day_of(NOW), Partial::default())], NOW, None).unwrap();
    assert_eq!(contents(&store), after);
}

#[test]
fn the_end_of_a_row_of_users_is_the_end_of_everything_and_a_truncate_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut log = world();
    log.cdc(Topic::Users, RowChange::Delete(RowKey::User(ANN)));
    log.event(NOW + 1, ANN, 200, BOB, Action::View);
    let applied = store.apply(&log.0, NOW).unwrap();
    assert_eq!(applied.forgotten[&Topic::Events], 1, "in the same batch too");
    assert!(!names_ann(&store).is_empty());
    // A removal that was cut off begins anew, also after a start.
    store.sweep_forgotten(|| false).unwrap();
    drop(store);
    let store = open(dir.path());
    store.sweep_forgotten(|| true).unwrap().unwrap();
    assert_eq!(names_ann(&store), [""; 0]);
    let row = store.forgotten(ANN).unwrap().unwrap();
    assert_eq!((row.at, row.swept, row.told), (NOW, true, false));
    store.told_forgotten(&[ANN, CY]).unwrap();
    assert!(store.forgotten(ANN).unwrap().unwrap().told && store.forgotten(CY).unwrap().is_none());

    let config = Config { dir: dir.path().join("truncating"), memory_budget_bytes: 64 << 20, ..Config::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: true }).unwrap();
    let mut log = world();
    log.cdc(Topic::Users, RowChange::Truncate);
    store.apply(&log.0, NOW).unwrap();
    assert!(store.forgotten(ANN).unwrap().is_none() && store.sweep_forgotten(|| true).unwrap().is_none());
}
