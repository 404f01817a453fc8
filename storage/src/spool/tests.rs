//! What a spooled event is worth: as much as one that was applied, and never twice as much.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions as FileOptions;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::ingest_sst::{Build, Foundation};
use crate::model::{
    Action, Cdc, Change, DeadReason, Field, HOUR_MS, IdKind, Outcome, Record, Refusal, Row, RowChange, Topic, Version,
};
use crate::position::Position;
use crate::{Config, OpenOptions, Store};

const NOW: TimestampMs = 1_795_376_817_860;
const ROOMY: SpoolBounds = SpoolBounds { events: 1_000, bytes: 1 << 20, age_ms: 86_400_000, impressions_share: 1.0 };
const USERS: u128 = 3;
const POSTS: u128 = 4;

fn open(dir: &Path) -> Store {
    let config = Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
}

/// A store with some posts, each by an author of its own.
fn town(dir: &Path) -> Store {
    let store = open(dir);
    let posts: Vec<_> = (0..POSTS).map(post_row).collect();
    store.apply(&posts, NOW).unwrap();
    store
}

fn author_of(post: u128) -> Id {
    Id(100 + post)
}

fn post_row(post: u128) -> Record {
    let row = Row::Post {
        id: Id(post),
        author: Field::Known(author_of(post)),
        created_at: Field::Known(NOW - 3 * HOUR_MS),
        deleted: Field::Known(false),
    };
    let change = RowChange::Upsert(row);
    let cdc = Cdc { version: Version::from_lsn(0, 1_000), commit_time: NOW - 3 * HOUR_MS, change };
    let at = TopicPartition { topic: Topic::Posts, partition: 0 };
    let offset = i64::try_from(post).unwrap();
    Record { at, offset, time: NOW, outcome: Outcome::Change(Change::Cdc(cdc)), raw: None }
}

fn event(number: u128, user: u128, post: u128, action: Action) -> Event {
    let event_time = NOW - i64::try_from(number % 5).unwrap() * HOUR_MS / 2;
    Event {
        event_id: number,
        event_time,
        user: Id(user),
        post: Id(post),
        author: Some(author_of(post)),
        action,
        dwell_ms: 7,
    }
}

fn record(event: &Event, offset: i64, time: TimestampMs) -> Record {
    let outcome = Outcome::Change(Change::Event(event.clone()));
    Record { at: TopicPartition { topic: Topic::Events, partition: 0 }, offset, time, outcome, raw: None }
}

fn spool(store: &Store, events: &[Event]) -> Vec<Spooled> {
    let events: Vec<_> = events.iter().map(|event| (event.clone(), b"value".to_vec())).collect();
    store.spool(&events, &ROOMY, NOW).unwrap()
}

/// Everything that readers see: of each reader views, hides and history, of each post its hours.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    viewed: BTreeSet<(Id, Id, TimestampMs)>,
    hidden: BTreeSet<(Id, Id)>,
    history: BTreeMap<(Id, Id), Counters>,
    hours: BTreeMap<(Id, u32), Counters>,
}

fn seen(store: &Store) -> Seen {
    let mut seen = Seen::default();
    for user in (0..USERS).map(Id) {
        let mut view = store.view(user, NOW).unwrap();
        let viewer = view.viewer();
        seen.viewed.extend(viewer.viewed.iter().map(|(post, time)| (user, *post, *time)));
        seen.hidden.extend(viewer.hidden.iter().map(|post| (user, *post)));
        // Impressions and time are not summed into affinity, so a reader kept in memory may be without the latest.
        let known = |sum: &Counters| Counters { impressions: 0, dwell_ms: 0, ..*sum };
        let history = viewer.history.iter().map(|(author, sum)| ((user, view.author_id(*author).unwrap()), known(sum)));
        let history = history.filter(|(_, sum)| *sum != Counters::default());
        seen.history.extend(history);
        let authors: Vec<_> = viewer.history.iter().map(|(author, _)| *author).collect();
        view.load(&authors).unwrap();
        view.load_posts(&(0..POSTS).map(Id).collect::<Vec<_>>()).unwrap();
        for post in (0..POSTS).map(Id) {
            if let Some(facts) = view.find(post).and_then(|post| view.facts(post)) {
                // An hour in which nothing counts says as much as none.
                let hours = facts.hours(0, u32::MAX).filter(|(_, sum)| *sum != Counters::default());
                seen.hours.extend(hours.map(|(hour, sum)| ((post, hour), sum)));
            }
        }
    }
    seen
}

#[derive(Clone, Debug)]
enum Step {
    Spool(Vec<usize>),
    Apply(Vec<usize>),
    Reopen,
    Warm,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || prop::collection::vec(0_usize..24, 1..6);
    let step = prop_oneof![
        4 => some().prop_map(Step::Spool),
        4 => some().prop_map(Step::Apply),
        1 => Just(Step::Reopen),
        1 => Just(Step::Warm),
    ];
    prop::collection::vec(step, 1..14)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    use Action::*;
    let one = (0..USERS, 0..POSTS, prop::sample::select(vec![View, Impression, Like, Comment, Share, Hide]));
    prop::collection::vec(one, 24).prop_map(|all| {
        let all = all.into_iter().zip(0_u128..);
        all.map(|((user, post, action), number)| event(number, user, post, action)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn at_every_moment_readers_see_what_was_spooled_as_if_it_were_applied_and_once(events in events(), steps in steps()) {
        let (dir, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut store, plain) = (town(dir.path()), town(plain.path()));
        let (mut known, mut applied, mut offset) = (BTreeSet::new(), BTreeSet::new(), 0);
        for step in &steps {
            match step {
                Step::Spool(which) | Step::Apply(which) => {
                    let fresh: Vec<_> = which.iter().filter(|at| known.insert(**at)).collect();
                    let records: Vec<_> = fresh.iter().map(|at| record(&events[**at], 1_000 + **at as i64, NOW)).collect();
                    // In the order of offsets, as each is its own.
                    for one in records {
                        let next = plain.positions().unwrap().get(&one.at).map_or(0, |held| held.next_offset);
                        plain.apply(&[Record { offset: next, ..one }], NOW).unwrap();
                    }
                    let picked: Vec<_> = which.iter().map(|at| events[*at].clone()).collect();
                    if matches!(step, Step::Spool(_)) {
                        spool(&store, &picked);
                    } else {
                        applied.extend(which.iter().copied());
                        let records: Vec<_> = picked.iter().zip(offset..).map(|(event, at)| record(event, at, NOW)).collect();
                        offset += records.len() as i64;
                        store.apply(&records, NOW).unwrap();
                    }
                }
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path());
                }
                Step::Warm => store.warm(NOW).unwrap(),
            }
            prop_assert_eq!(seen(&store), seen(&plain), "after {:?}", step);
            let waiting = known.difference(&applied).count() as u64;
            prop_assert_eq!(store.spool_state().events, waiting);
        }
        // What is left comes back from Kafka too: then the stores are the same, to the last counter.
        let rest: Vec<_> = known.difference(&applied).map(|at| &events[*at]).zip(offset..).map(|(e, at)| record(e, at, NOW)).collect();
        store.apply(&rest, NOW).unwrap();
        prop_assert_eq!(store.spool_state(), SpoolState { next: store.spool_state().next, ..SpoolState::default() });
        prop_assert_eq!(stored(&store), stored(&plain));
        prop_assert_eq!(seen(&store), seen(&plain));
    }
}

type Hours = BTreeMap<(Id, u32), Counters>;
type Days = BTreeMap<(Id, Id, u16), Counters>;

/// The counters on disk.
fn stored(store: &Store) -> (Hours, Days) {
    let (mut hours, mut days) = (BTreeMap::new(), BTreeMap::new());
    store
        .each_post_hour(|post, hour, sum| {
            hours.insert((post, hour), sum);
        })
        .unwrap();
    store
        .each_partial(|user, author, _, day, sum| {
            days.insert((user, author, day), sum.counters);
        })
        .unwrap();
    (hours, days)
}

#[test]
fn a_spooled_event_touches_neither_counters_nor_remembered_ids() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let like = event(0, 1, 2, Action::Like);
    assert_eq!(spool(&store, std::slice::from_ref(&like)), [Spooled::Kept(0)]);
    assert_eq!(stored(&store), (BTreeMap::new(), BTreeMap::new()));
    assert_eq!(store.stats().unwrap().entries["dedup"], 0);
    let applied = store.apply(&[record(&like, 0, NOW)], NOW).unwrap();
    assert_eq!((applied.dedup_misses, applied.dedup_hits), (1, 0), "its record is the first of its id");
    assert_eq!(stored(&store).0.values().map(|sum| sum.likes).sum::<u32>(), 1);
}

#[test]
fn an_event_of_the_same_id_by_a_stranger_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let (mine, theirs) = (event(5, 1, 2, Action::Hide), event(5, 2, 2, Action::View));
    spool(&store, &[mine]);
    store.apply(&[record(&theirs, 0, NOW)], NOW).unwrap();
    assert_eq!(store.spool_state().events, 1, "nobody takes another's promise away");
}

#[test]
fn what_is_known_is_not_spooled_and_a_repeat_is_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let (first, second) = (event(0, 1, 2, Action::Like), event(1, 1, 2, Action::Like));
    store.apply(&[record(&first, 0, NOW)], NOW).unwrap();
    let fates = spool(&store, &[first.clone(), second.clone(), second.clone()]);
    assert_eq!(fates, [Spooled::Known, Spooled::Kept(0), Spooled::Known]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(spool(&store, &[first, second]), [Spooled::Known, Spooled::Known], "after a start as well");
}

#[test]
fn a_full_spool_refuses_and_drops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let bounds = SpoolBounds { events: 4, impressions_share: 0.5, ..ROOMY };
    let all: Vec<_> = (0..3)
        .flat_map(|number| [(number, Action::Impression), (number + 10, Action::View)])
        .map(|(number, action)| (event(number, 1, 2, action), Vec::new()))
        .collect();
    let fates = store.spool(&all, &bounds, NOW).unwrap();
    use Spooled::{Full, Kept};
    assert_eq!(fates, [Kept(0), Kept(1), Full, Kept(2), Full, Kept(3)]);
    assert_eq!(store.spool(&[(event(20, 1, 2, Action::Hide), Vec::new())], &bounds, NOW).unwrap(), [Full]);
    drop(store);
    let items = open(dir.path()).spool_unsent(0, u64::MAX, 10).unwrap();
    assert_eq!(items.iter().map(|item| item.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn what_kafka_has_acknowledged_is_not_sent_again_and_stays_in_sight_until_it_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let hides: Vec<_> = (0..3).map(|post| event(post, 1, post, Action::Hide)).collect();
    spool(&store, &hides);
    store.spool_sent(1, 0, 40, NOW).unwrap();
    let left = store.spool_unsent(0, 3, 10).unwrap();
    assert_eq!(left.iter().map(|item| item.sequence).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(left[0].value, b"value");
    assert_eq!(seen(&store).hidden.len(), 3);
    assert_eq!(store.spool_unsent(0, 2, 10).unwrap().len(), 1, "no further than asked");
    store.apply(&[record(&hides[1], 40, NOW)], NOW).unwrap();
    assert_eq!((store.spool_state().events, store.spool_state().sent), (2, 0));
    store.spool_sent(1, 0, 40, NOW).unwrap();
    assert_eq!(store.spool_state().sent, 0, "one that is gone stays so");
}

#[test]
fn a_record_of_ours_that_is_refused_leaves_the_spool_as_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let likes = [event(0, 1, 2, Action::Like), event(1, 1, 3, Action::Like)];
    spool(&store, &likes);
    let dead = |offset| Record {
        outcome: Outcome::Dead {
            refusal: Refusal { reason: DeadReason::TimeOutOfRange, detail: "too old".to_owned() },
            key: None,
            value: Some(b"value".to_vec()),
        },
        ..record(&likes[0], offset, NOW)
    };
    store.spool_sent(0, 0, 0, NOW).unwrap();
    store.apply(&[dead(0), dead(1)], NOW).unwrap();
    assert_eq!(store.spool_state().events, 1);
    store.spool_sent(1, 0, 1, NOW).unwrap();
    assert_eq!(store.spool_state().events, 0, "the acknowledgement may come after the record");
    assert_eq!(seen(&store), seen(&town(tempfile::tempdir().unwrap().path())));
}

/// The newest log, and its size.
fn log(dir: &Path) -> (PathBuf, u64) {
    let files = std::fs::read_dir(dir.join("store/db")).unwrap().map(|entry| entry.unwrap().path());
    let newest = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap();
    let size = newest.metadata().unwrap().len();
    (newest, size)
}

#[test]
fn what_was_spooled_survives_a_power_cut_that_takes_everything_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    store.apply(&[record(&event(50, 2, 1, Action::Like), 0, NOW)], NOW).unwrap();
    spool(&store, &[event(0, 1, 2, Action::Hide), event(1, 1, 3, Action::View)]);
    let before = seen(&store);
    let (path, size) = log(dir.path());
    let later: Vec<_> =
        (60..90).zip(1..).map(|(number, at)| record(&event(number, 2, 1, Action::Like), at, NOW)).collect();
    later.iter().for_each(|record| drop(store.apply(std::slice::from_ref(record), NOW).unwrap()));
    assert!(log(dir.path()).1 > size);
    drop(store);
    FileOptions::new().write(true).open(path).unwrap().set_len(size + 3).unwrap();
    let store = open(dir.path());
    assert_eq!(store.spool_state().events, 2);
    assert_eq!(seen(&store), before);
}

#[test]
fn a_rebuilt_store_takes_over_what_was_promised_and_not_what_it_has_met() {
    let dir = tempfile::tempdir().unwrap();
    let store = town(dir.path());
    let likes: Vec<_> = (0..4).map(|post| event(post, 1, post, Action::Like)).collect();
    spool(&store, &likes);
    // The second stands below where the rebuilt store begins, the third above; of the fourth it knows the id.
    store.spool_sent(1, 0, 20, NOW).unwrap();
    store.spool_sent(2, 0, 60, NOW).unwrap();
    drop(store);
    let config = Config { dir: dir.path().join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    let options = OpenOptions { ids: IdKind::U64, apply_truncates: false };
    let build = Build::open(&config, options, None).unwrap();
    let mut run = build.sorted(Family::Dedup);
    run.event_id(0, hour_of(NOW), likes[3].event_id, 41).unwrap();
    run.finish().unwrap();
    let at = TopicPartition { topic: Topic::Events, partition: 0 };
    let position = Position { next_offset: 50, last_offset: 49, last_time: NOW, watermark: NOW, marked_from: 50 };
    let positions = BTreeMap::from([(at, position)]);
    build.finish(&Foundation { positions, begins: BTreeMap::new(), base: None }).unwrap();
    build.make_current().unwrap();
    for _ in 0..2 {
        let store = open(dir.path());
        let waiting = store.spool_unsent(0, u64::MAX, 10).unwrap();
        assert_eq!(
            waiting.iter().map(|item| (item.user, &item.value[..])).collect::<Vec<_>>(),
            [(Id(1), &b"value"[..])]
        );
        assert_eq!((store.spool_state().events, store.spool_state().sent), (2, 1));
        let authors: Vec<_> = seen(&store).history.into_keys().map(|(_, author)| author).collect();
        assert_eq!(authors, [author_of(0), author_of(2)]);
        assert!(!config.dir.join("db").exists(), "the one before is gone");
    }
    let store = open(dir.path());
    store.apply(&[record(&likes[0], 59, NOW), record(&likes[2], 60, NOW)], NOW).unwrap();
    assert_eq!(store.spool_state().events, 0);
}
