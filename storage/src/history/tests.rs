//! Bases put, renewed and added to what the node counted itself.

use std::path::Path;

use rocksdb::DB;

use super::*;
use crate::model::{Action, Change, Counters, DAY_MS, Event, IdKind, Outcome, Record, Topic, TopicPartition, day_of};
use crate::options::{self, Budget};
use crate::retention::{Clock, Retention};
use crate::{Config, OpenOptions};

const NOW: TimestampMs = 1_795_376_817_860;
const ME: Id = Id(1);

fn open(dir: &Path) -> Store {
    let config = Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
}

fn views(views: u32) -> Partial {
    Partial { counters: Counters { views, ..Counters::default() }, last_time: NOW }
}

fn view_of(partition: u32, offset: i64, time: TimestampMs, author: u128) -> Record {
    let event = Event {
        event_id: u128::from(partition) << 64 | u128::from(offset.cast_unsigned()),
        event_time: time,
        user: ME,
        post: Id(7),
        author: Some(Id(author)),
        action: Action::View,
        dwell_ms: 0,
    };
    let at = TopicPartition { topic: Topic::Events, partition };
    Record { at, offset, time, outcome: Outcome::Change(Change::Event(event)), raw: None }
}

/// What a reader is known to have viewed, by author.
fn seen(store: &Store, now_ms: TimestampMs) -> BTreeMap<u128, u32> {
    let view = store.view(ME, now_ms).unwrap();
    let viewer = view.viewer();
    viewer.history.iter().map(|(author, sum)| (view.author_id(*author).unwrap().0, sum.views)).collect()
}

#[test]
fn base_and_own_history_add_up_and_a_kept_reader_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.apply(&[view_of(0, 5, NOW, 20), view_of(0, 6, NOW, 30)], NOW).unwrap();
    assert_eq!(seen(&store, NOW), BTreeMap::from([(20, 1), (30, 1)]));
    assert_eq!(store.view(ME, NOW).unwrap().viewer().base, None);
    let today = day_of(NOW);
    let rows = [(Id(10), today, views(4)), (Id(20), today, views(2)), (Id(20), today - 3, views(3))];
    store.put_history(ME, &rows, NOW, None).unwrap();
    assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 4), (20, 6), (30, 1)]));
    assert_eq!(store.view(ME, NOW).unwrap().viewer().base, Some(Base { as_of_ms: NOW, rows: 3, own_from: None }));
    store.apply(&[view_of(0, 7, NOW, 10)], NOW).unwrap();
    assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 5), (20, 6), (30, 1)]));
}

#[test]
fn a_base_counts_for_ninety_days_and_no_day_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let today = day_of(NOW);
    let rows = [(Id(10), today - 89, views(1)), (Id(11), today - 90, views(1)), (Id(12), today + 1, views(1))];
    store.put_history(ME, &rows, NOW, None).unwrap();
    assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 1)]));
    assert_eq!(seen(&store, NOW + DAY_MS), BTreeMap::from([(12, 1)]), "the window moves with the day");
}

#[test]
fn a_base_is_replaced_whole_and_touches_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let today = day_of(NOW);
    let other = Id(u128::from(u64::MAX));
    store.put_history(other, &[(Id(9), today, views(9))], NOW, None).unwrap();
    store.put_history(ME, &[(Id(10), today, views(1)), (Id(11), today, views(1))], NOW - 5, None).unwrap();
    let rows = [(Id(11), today, views(2)), (Id(12), today, views(1))];
    for as_of_ms in [NOW, NOW + 1] {
        store.put_history(ME, &rows, as_of_ms, None).unwrap();
        assert_eq!(seen(&store, NOW), BTreeMap::from([(11, 2), (12, 1)]));
        assert_eq!(store.base_of(ME).unwrap(), Some(Base { as_of_ms, rows: 2, own_from: None }));
    }
    store.put_history(ME, &[], NOW + 2, None).unwrap();
    assert!(seen(&store, NOW).is_empty());
    assert_eq!(
        store.base_of(ME).unwrap(),
        Some(Base { as_of_ms: NOW + 2, rows: 0, own_from: None }),
        "that nothing was is known"
    );
    let mut left = Vec::new();
    store.each_history(|user, author, day, sums| left.push((user, author, day, sums))).unwrap();
    assert_eq!(left, [(other, Id(9), today, views(9))]);
}

#[test]
fn whole_arrival_days_take_the_place_of_base_and_own_rows_alike() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let today = day_of(NOW);
    store.apply(&[view_of(0, 5, NOW - 2 * DAY_MS, 20), view_of(0, 6, NOW, 20)], NOW).unwrap();
    assert!(store.put_history(ME, &[(Id(10), today - 9, views(4))], NOW, None).unwrap());
    assert_eq!(store.readers_to_renew(today, None, 10).unwrap(), [ME]);
    assert_eq!(store.readers_to_renew(today, Some(ME), 10).unwrap(), []);
    // The center knows of one view more than this node had counted.
    let rows = [(Id(10), today - 9, views(4)), (Id(20), today - 2, views(2))];
    for _ in 0..2 {
        assert!(store.renew_history(ME, &rows, NOW, today).unwrap());
        assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 4), (20, 3)]));
    }
    assert_eq!(store.base_of(ME).unwrap(), Some(Base { as_of_ms: NOW, rows: 2, own_from: Some(today) }));
    assert!(!store.put_history(ME, &[], NOW, None).unwrap(), "an answer that was cut elsewhere is too late");
    assert!(!store.renew_history(ME, &[], NOW, today - 1).unwrap(), "and so is an older one");
    assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 4), (20, 3)]));
    assert!(store.readers_to_renew(today, None, 10).unwrap().is_empty());
}

#[test]
fn readers_come_in_order_and_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let today = day_of(NOW);
    for user in [9_u128, 3, 7, 5] {
        store.put_history(Id(user), &[], NOW, None).unwrap();
    }
    assert_eq!(store.readers_to_renew(today, None, 2).unwrap(), [Id(3), Id(5)]);
    assert_eq!(store.readers_to_renew(today, Some(Id(5)), 2).unwrap(), [Id(7), Id(9)]);
    assert_eq!(store.readers_to_renew(today, Some(Id(9)), 2).unwrap(), []);
}

#[test]
fn who_has_no_base_of_their_own_has_that_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let base = Base { as_of_ms: NOW, rows: 0, own_from: None };
    store.put_whole_base(base).unwrap();
    store.put_history(Id(3), &[(Id(10), day_of(NOW), views(1))], NOW + 1, None).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.base_of(ME).unwrap(), Some(base));
    assert_eq!(store.view(ME, NOW).unwrap().viewer().base, Some(base));
    assert_eq!(store.base_of(Id(3)).unwrap().map(|base| base.rows), Some(1));
}

#[test]
fn a_base_and_where_own_history_begins_survive_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.apply(&[view_of(3, 40, NOW - DAY_MS, 20), view_of(3, 41, NOW, 20)], NOW).unwrap();
    store.apply(&[view_of(3, 42, NOW, 20)], NOW).unwrap();
    store.put_history(ME, &[(Id(10), day_of(NOW), views(4))], NOW, None).unwrap();
    drop(store);
    let store = open(dir.path());
    let begin = Begin { offset: 40, time: Some(NOW - DAY_MS) };
    assert_eq!(store.begins(), BTreeMap::from([(3, begin)]));
    assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 4), (20, 3)]));
    store.apply(&[view_of(3, 43, NOW, 20)], NOW).unwrap();
    assert_eq!(store.begins(), BTreeMap::from([(3, begin)]), "a beginning is noted once");
}

#[test]
fn an_empty_partition_begins_where_it_was_found_and_its_first_record_says_when() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = TopicPartition { topic: Topic::Events, partition: 2 };
    store.advance(at, 70, NOW).unwrap();
    store.advance(TopicPartition { topic: Topic::Likes, partition: 9 }, 70, NOW).unwrap();
    assert_eq!(store.begins(), BTreeMap::from([(2, Begin { offset: 70, time: None })]));
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.begins(), BTreeMap::from([(2, Begin { offset: 70, time: None })]));
    assert!(store.positions().unwrap().is_empty());
    store.apply(&[view_of(2, 71, NOW, 20)], NOW).unwrap();
    store.advance(at, 90, NOW).unwrap();
    assert_eq!(store.begins(), BTreeMap::from([(2, Begin { offset: 71, time: Some(NOW) })]));
}

#[test]
fn no_clock_in_a_record_puts_a_beginning_ahead_of_the_nodes_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.apply(&[view_of(0, 0, 4_070_908_800_000, 20)], NOW).unwrap();
    assert_eq!(store.begins()[&0].time, Some(NOW + 5 * 60_000));
}

#[test]
fn compaction_drops_what_no_window_reaches_and_headers_nobody_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let today = day_of(NOW);
    store.put_history(ME, &[(Id(10), today, views(1)), (Id(11), today - 50, views(1))], NOW, None).unwrap();
    store.settle().unwrap();
    let days = |store: &Store| {
        let mut days = Vec::new();
        store.each_history(|_, _, day, _| days.push(day)).unwrap();
        days
    };
    assert_eq!(days(&store), [today, today - 50]);
    store.maintain(NOW + 48 * DAY_MS).unwrap();
    store.settle().unwrap();
    assert_eq!(days(&store), [today]);
    assert!(store.base_of(ME).unwrap().is_some());
    store.maintain(NOW + 98 * DAY_MS).unwrap();
    store.settle().unwrap();
    assert!(days(&store).is_empty());
    assert_eq!(store.base_of(ME).unwrap(), None, "then the center is asked anew");
}

/// A store of the version before this one: no families for bases, no note of where it began.
#[test]
fn a_store_from_before_opens_and_tells_no_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.apply(&[view_of(0, 5, NOW, 20)], NOW).unwrap();
    drop(store);
    {
        let (budget, cache) = (Budget::of(&Config::default()), rocksdb::Cache::new_lru_cache(1 << 20));
        let families = options::families(&budget, &cache, Retention { tombstones_ms: 0 }, &Clock::default());
        let path = dir.path().join("store/db");
        let mut db = DB::open_cf_descriptors(&options::database(&budget, &cache).unwrap(), path, families).unwrap();
        db.drop_cf(Family::History.name()).unwrap();
        db.drop_cf(Family::HistoryOf.name()).unwrap();
        db.delete_cf(db.cf_handle(Family::Meta.name()).unwrap(), crate::key::begin(0)).unwrap();
    }
    let store = open(dir.path());
    assert!(store.begins().is_empty());
    assert_eq!(store.positions().unwrap().len(), 1);
    assert_eq!(seen(&store, NOW), BTreeMap::from([(20, 1)]));
    store.put_history(ME, &[(Id(10), day_of(NOW), views(4))], NOW, None).unwrap();
    assert_eq!(seen(&store, NOW), BTreeMap::from([(10, 4), (20, 1)]));
}
