//! What has been applied once changes nothing when it comes again.

use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{Action, IdKind, Topic, TopicPartition};

use crate::compare;
use crate::formula::{apply, fold, viewers};
use crate::log::{decoded, history, settings};
use crate::oracle::{LogRecord, Oracle};

const HOUR: i64 = 3_600_000;

#[test]
fn replaying_every_topic_from_the_start_changes_nothing() {
    let config = WorldConfig::small(4, IdKind::U64);
    let now_ms = config.now_ms;
    let world = World::new(config);
    let log = history(&world, &Encoding::new(IdKind::U64));
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    let mut oracle = Oracle::new(IdKind::U64, 0);
    apply(&store, &log, now_ms);
    fold(&mut oracle, &log, now_ms);
    apply(&store, &log, now_ms);
    compare::facts(&store, &oracle, now_ms);
    // A log written anew has other offsets: rows are held by their versions, whatever their place.
    let again: Vec<LogRecord> = log
        .iter()
        .filter(|record| record.topic != "events")
        .map(|record| LogRecord { offset: record.offset + 1_000_000, ..record.clone() })
        .collect();
    apply(&store, &again, now_ms);
    compare::facts(&store, &oracle, now_ms);
    compare::feeds(&store, &compare::feed_over(&store), &oracle, viewers(&world, 10), now_ms);
}

fn event(offset: i64, partition: u32, time_ms: i64, event_id: u128, event_time: i64, action: Action) -> LogRecord {
    let id = uuid::Uuid::from_u128(event_id);
    let action = format!("{action:?}").to_lowercase();
    let value = format!(
        r#"{{"event_id":"{id}","event_time":{event_time},"user_id":1,"post_id":7,"author_id":2,"action":"{action}"}}"#
    );
    LogRecord {
        topic: "events".to_owned(),
        partition,
        offset,
        time_ms,
        key: Some(b"1".to_vec()),
        value: Some(value.into_bytes()),
    }
}

fn likes_counted(log: &[LogRecord], now_ms: i64) -> u32 {
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    apply(&store, log, now_ms);
    let mut likes = 0;
    store.each_post_hour(|_, _, sum| likes += sum.likes).unwrap();
    likes
}

#[test]
fn the_same_event_id_ten_times_counts_once_in_one_batch_and_in_many() {
    let now = 1_795_376_817_860;
    let log: Vec<_> = (0..10).map(|n| event(n, 0, now + n, 9, now, Action::Like)).collect();
    assert_eq!(likes_counted(&log, now), 1);
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    for record in &log {
        store.apply(&[decoded(record, &settings(IdKind::U64), now)], now).unwrap();
    }
    let (mut likes, mut marks) = (0, Vec::new());
    store.each_post_hour(|_, _, sum| likes += sum.likes).unwrap();
    store.each_mark(|at, offset| marks.push((at, offset))).unwrap();
    assert_eq!(likes, 1);
    let events = TopicPartition { topic: Topic::Events, partition: 0 };
    assert_eq!(marks, (1..10).map(|offset| (events, offset)).collect::<Vec<_>>(), "each dropped repeat is marked");
}

#[test]
fn an_event_id_is_remembered_over_a_restart_for_an_hour_of_record_time() {
    let now = 1_795_376_817_860;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let settings = settings(IdKind::U64);
    let first = event(0, 0, now - 3 * HOUR, 9, now - 3 * HOUR, Action::Like);
    compare::open(&path, IdKind::U64).apply(&[decoded(&first, &settings, now)], now).unwrap();
    let store = compare::open(&path, IdKind::U64);
    let repeat = event(1, 0, now - 2 * HOUR, 9, now - 2 * HOUR, Action::Like);
    let applied = store.apply(&[decoded(&repeat, &settings, now)], now).unwrap();
    assert_eq!((applied.dedup_hits, applied.dedup_misses), (1, 0), "an hour to the millisecond is remembered");
    store.maintain(now).unwrap();
    let late = event(2, 0, now, 9, now, Action::Like);
    let applied = store.apply(&[decoded(&late, &settings, now)], now).unwrap();
    assert_eq!((applied.dedup_hits, applied.dedup_misses), (0, 1), "three hours later it is a new event");
}

#[test]
fn a_repeat_in_another_partition_is_not_counted_and_not_marked() {
    let now = 1_795_376_817_860;
    let log = [
        event(0, 0, now, 9, now, Action::Like),
        event(0, 1, now, 9, now, Action::Like),
        event(1, 1, now, 9, now, Action::Like),
    ];
    assert_eq!(likes_counted(&log, now), 1);
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    apply(&store, &log, now);
    let mut marks = Vec::new();
    store.each_mark(|at, offset| marks.push((at.partition, offset))).unwrap();
    assert_eq!(marks, [(1, 1)], "within partition 1 the second one repeats the first");
}

#[test]
fn a_record_stamped_2099_moves_nothing() {
    let now = 1_795_376_817_860;
    let far = 4_070_908_800_000;
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    let log = [
        event(0, 0, now, 1, now, Action::Like),
        event(1, 0, far, 2, far, Action::View),
        event(2, 0, now + 1, 1, now, Action::Like),
        event(3, 0, now + 2, 3, now, Action::View),
    ];
    apply(&store, &log, now);
    let at = TopicPartition { topic: Topic::Events, partition: 0 };
    let position = store.positions().unwrap()[&at];
    assert!(position.watermark <= now + 5 * 60_000, "the partition's clock stands at {}", position.watermark);
    let (mut likes, mut viewed) = (0, Vec::new());
    store.each_post_hour(|_, _, sum| likes += sum.likes).unwrap();
    store.each_seen(edgefeed_storage::key::Family::Viewed, |_, _, time| viewed.push(time)).unwrap();
    assert_eq!(likes, 1, "the repeat behind it is still known");
    assert_eq!(viewed, [now], "the view of 2099 does not mask the real one");
}

#[test]
fn a_row_version_that_is_older_or_equal_changes_nothing() {
    let now = 1_795_376_817_860;
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    let row = |offset: i64, op: &str, lsn: u64| LogRecord {
        topic: "cdc.follows".to_owned(),
        partition: 0,
        offset,
        time_ms: now,
        key: Some(br#"{"follower_id":1,"following_id":2}"#.to_vec()),
        value: Some(
            format!(
                r#"{{"before":{b},"after":{a},"op":"{op}","source":{{"table":"follows","lsn":{lsn},"ts_ms":{now}}}}}"#,
                b = if op == "d" { r#"{"follower_id":1,"following_id":2}"# } else { "null" },
                a = if op == "d" { "null" } else { r#"{"follower_id":1,"following_id":2,"created_at":0}"# },
            )
            .into_bytes(),
        ),
    };
    let live = |store: &edgefeed_storage::Store| {
        let mut live = 0;
        store
            .each_link(edgefeed_storage::key::Family::Follows, |_, _, row| live += u32::from(row.removed.is_none()))
            .unwrap();
        live
    };
    apply(&store, &[row(0, "c", 1_000), row(1, "d", 2_000)], now);
    assert_eq!(live(&store), 0);
    let stale = [row(2, "r", 1_000), row(3, "u", 1_500), row(4, "c", 2_000)];
    let records: Vec<_> = stale.iter().map(|record| decoded(record, &settings(IdKind::U64), now)).collect();
    let applied = store.apply(&records, now).unwrap();
    assert_eq!(applied.stale[&Topic::Follows], 3);
    assert_eq!(live(&store), 0, "nothing brings a deleted row back but a newer version");
    apply(&store, &[row(5, "c", 2_001)], now);
    assert_eq!(live(&store), 1);
}
