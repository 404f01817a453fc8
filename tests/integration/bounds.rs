//! Bounds hold and are told: little memory, many readers at once, stalls, truncates, a flood of dead letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use edgefeed::feed::{Algo, FeedRequest};
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::key::Family;
use edgefeed_storage::model::{IdKind, Topic, TopicPartition};
use edgefeed_storage::{Config, OpenOptions, StallReason, Store};

use crate::compare;
use crate::formula::{apply, fold, viewers};
use crate::log::{decoded, history, settings};
use crate::oracle::{LogRecord, Oracle, OracleAlgo};

const NOW: i64 = 1_795_376_817_860;

fn open(dir: &tempfile::TempDir, config: Config, apply_truncates: bool) -> Arc<Store> {
    let config = Config { dir: dir.path().join("store"), ..config };
    Arc::new(Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates }).unwrap())
}

/// With memory for few authors a page is whole, or says that it is not.
#[test]
fn a_page_never_lacks_posts_without_saying_so_however_little_memory_there_is() {
    let world = World::new(WorldConfig::small(21, IdKind::U64));
    let log = history(&world, &Encoding::new(IdKind::U64));
    let mut oracle = Oracle::new(IdKind::U64, 0);
    fold(&mut oracle, &log, NOW);
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, Config { memory_budget_bytes: 400_000, ..Config::default() }, false);
    apply(&store, &log, NOW);
    let feed = compare::feed_over(&store);
    let mut whole = 0;
    for viewer in viewers(&world, 100) {
        let request = FeedRequest { limit: usize::MAX, algo: Algo::Time, ..FeedRequest::of(viewer) };
        let page = feed.page(&request, NOW).unwrap();
        if page.degraded.contains(&"memory_short") {
            continue;
        }
        whole += 1;
        let expected: Vec<_> = oracle.feed(viewer, NOW, OracleAlgo::Time).into_iter().map(|post| post.id).collect();
        assert_eq!(page.posts.iter().map(|post| post.id.1).collect::<Vec<_>>(), expected);
    }
    assert!(whole > 0, "some pages fit");
}

/// Readers, the writer and the tidying up, all at once and with little memory: nothing stands still, nothing is wrong
/// afterwards.
#[test]
fn reading_applying_and_tidying_at_once_ends_where_applying_alone_does() {
    let world = World::new(WorldConfig::small(22, IdKind::U64));
    let log = history(&world, &Encoding::new(IdKind::U64));
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, Config { memory_budget_bytes: 4 << 20, ..Config::default() }, false);
    let feed = compare::feed_over(&store);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3_u32 {
            let (feed, world, done, store) = (&feed, &world, &done, &store);
            scope.spawn(move || {
                let mut at = thread;
                while !done.load(Ordering::Relaxed) {
                    at = (at * 7 + 1) % world.user_count();
                    feed.page(&FeedRequest::of(world.user(at)), NOW).unwrap();
                    if thread == 0 {
                        feed.refresh_trending(NOW);
                        store.maintain(NOW).unwrap();
                    }
                }
            });
        }
        apply(&store, &log, NOW);
        done.store(true, Ordering::Relaxed);
    });
    let mut oracle = Oracle::new(IdKind::U64, 0);
    fold(&mut oracle, &log, NOW);
    compare::facts(&store, &oracle, NOW);
    store.warm(NOW).unwrap();
    compare::feeds(&store, &compare::feed_over(&store), &oracle, viewers(&world, 20), NOW);
}

fn follow(partition: u32, offset: i64, op: &str, lsn: u64, ts_ms: i64, following: u64) -> LogRecord {
    let row = format!(r#"{{"follower_id":1,"following_id":{following},"created_at":0}}"#);
    let (key, after) = if op == "t" { (None, "null") } else { (Some(row.clone().into_bytes()), row.as_str()) };
    let source = format!(r#"{{"table":"follows","lsn":{lsn},"ts_ms":{ts_ms}}}"#);
    LogRecord {
        topic: "cdc.follows".to_owned(),
        partition,
        offset,
        time_ms: NOW,
        key,
        value: Some(format!(r#"{{"before":null,"after":{after},"op":"{op}","source":{source}}}"#).into_bytes()),
    }
}

fn take(store: &Store, log: &[LogRecord]) -> edgefeed_storage::Applied {
    let records: Vec<_> = log.iter().map(|record| decoded(record, &settings(IdKind::U64), NOW)).collect();
    store.apply(&records, NOW).unwrap()
}

fn live_follows(store: &Store) -> Vec<u128> {
    let mut live = Vec::new();
    store
        .each_link(Family::Follows, |_, following, row| {
            if row.removed.is_none() {
                live.push(following.0);
            }
        })
        .unwrap();
    live
}

const FOLLOWS: TopicPartition = TopicPartition { topic: Topic::Follows, partition: 0 };

#[test]
fn a_log_that_starts_anew_stalls_its_topic_alone_and_a_higher_epoch_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, Config::default(), false);
    let applied = take(&store, &[follow(0, 0, "c", 90 << 30, NOW - 9, 2), follow(0, 1, "c", 1 << 20, NOW - 5, 3)]);
    assert_eq!(applied.stalls[0].reason, StallReason::VersionRegress);
    assert_eq!(applied.stalls[0].offset, 1);
    take(&store, &[follow(0, 1, "c", 91 << 30, NOW - 4, 4), follow(1, 0, "c", 91 << 30, NOW - 4, 5)]);
    assert_eq!(live_follows(&store), [2], "nothing of a stalled topic is applied");
    assert_eq!(store.positions().unwrap()[&FOLLOWS].next_offset, 1, "and its offset stays");
    let like = LogRecord { topic: "cdc.posts".to_owned(), value: None, ..follow(0, 0, "c", 0, NOW, 0) };
    assert_eq!(take(&store, &[like]).nothing[&Topic::Posts], 1, "other topics go on");
    drop(store);
    let store = open(&dir, Config::default(), false);
    let raised = edgefeed_sync::decode::Decode { cdc_epoch: 1, ..settings(IdKind::U64) };
    let snapshot = decoded(&follow(0, 1, "r", 1 << 20, NOW - 5, 3), &raised, NOW);
    assert!(store.apply(&[snapshot], NOW).unwrap().stalls.is_empty());
    assert_eq!(live_follows(&store), [2, 3]);
}

#[test]
fn a_truncate_stalls_unless_it_may_be_applied_and_then_nothing_older_comes_to_life() {
    let log =
        [follow(0, 0, "c", 100, NOW - 9, 2), follow(0, 1, "t", 200, NOW - 8, 0), follow(0, 2, "c", 300, NOW - 7, 3)];
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, Config::default(), false);
    assert_eq!(take(&store, &log).stalls[0].reason, StallReason::Truncate);
    assert_eq!(live_follows(&store), [2]);
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, Config::default(), true);
    assert!(take(&store, &log).stalls.is_empty());
    // Another partition is read later: what it holds from before the truncate is gone all the same.
    take(&store, &[follow(1, 0, "c", 150, NOW - 9, 4), follow(1, 1, "c", 250, NOW - 8, 5)]);
    assert_eq!(live_follows(&store), [3, 5]);
}

#[test]
fn dead_letters_are_bounded_and_the_newest_stay() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dead_letters_max: 10, ..Config::default() };
    let bad = |partition: u32, offset: i64| LogRecord {
        value: Some(b"not json".to_vec()),
        ..follow(partition, offset, "c", 0, NOW, 0)
    };
    let kept = |store: &Store| {
        let mut kept = Vec::new();
        store.each_dead_letter(|at, offset, _| kept.push((at.partition, offset))).unwrap();
        kept
    };
    let store = open(&dir, config.clone(), false);
    take(&store, &(0..25).map(|offset| bad(1, offset)).collect::<Vec<_>>());
    assert_eq!(kept(&store), (15..25).map(|offset| (1, offset)).collect::<Vec<_>>());
    take(&store, &(0..4).map(|offset| bad(0, offset)).collect::<Vec<_>>());
    let mixed: Vec<_> = (0..4).map(|offset| (0, offset)).chain((19..25).map(|offset| (1, offset))).collect();
    assert_eq!(kept(&store), mixed);
    drop(store);
    let store = open(&dir, config, false);
    take(&store, &[bad(2, 0)]);
    assert_eq!(kept(&store).len(), 10, "the bound holds over a restart");
}
