//! The oracle itself, held to cases worked out by hand, and to worlds told in every shape.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use edgefeed::world::{Case, Encoding, Role, Shape, TimeStyle, World, WorldConfig, partition_of};
use edgefeed_storage::model::{DAY_MS, DeadReason, HOUR_MS, Id, IdKind, TimestampMs, Topic, day_of, hour_of};
use serde_json::{Value, json};

use crate::oracle::{LogRecord, Oracle, OracleAlgo, OraclePost, OracleWindow, spaced};

/// 2026-11-22T19:46:57.860Z.
const NOW: TimestampMs = 1_795_376_817_860;
const VIEWER: u128 = 1;

/// An oracle of numeric ids and a hand that writes its log, one partition a topic.
struct Desk {
    oracle: Oracle,
    offsets: BTreeMap<&'static str, i64>,
    lsn: u64,
}

impl Desk {
    fn new() -> Self {
        Self { oracle: Oracle::new(IdKind::U64, 0), offsets: BTreeMap::new(), lsn: 100 }
    }

    fn record(&mut self, topic: &'static str, time_ms: TimestampMs, key: Value, value: Option<Value>) {
        let offset = self.offsets.entry(topic).or_insert(0);
        let bytes = |value: Value| value.to_string().into_bytes();
        let (key, value) = (Some(bytes(key)), value.map(bytes));
        self.oracle
            .fold(&LogRecord { topic: topic.to_owned(), partition: 0, offset: *offset, time_ms, key, value }, NOW);
        *offset += 1;
    }

    fn row(&mut self, topic: &'static str, after: Value) {
        self.lsn += 1;
        let source = json!({ "lsn": self.lsn, "ts_ms": NOW - DAY_MS });
        self.record(
            topic,
            NOW,
            json!({}),
            Some(json!({ "op": "c", "before": null, "after": after, "source": source })),
        );
    }

    fn post(&mut self, id: u128, author: u128, created_at: TimestampMs) {
        self.row("cdc.posts", json!({ "id": id as u64, "user_id": author as u64, "created_at": created_at }));
    }

    fn follow(&mut self, author: u128) {
        self.row("cdc.follows", json!({ "follower_id": VIEWER as u64, "following_id": author as u64 }));
    }

    /// An event that is reported at once under an id of its own.
    fn event(&mut self, user: u128, post: u128, author: u128, action: &str, at: TimestampMs) {
        let id = u128::from(self.offsets.get("events").copied().unwrap_or(0).unsigned_abs()) + 1;
        let event = json!({ "event_id": IdKind::Uuid.format(Id(id)), "event_time": at, "user_id": user as u64,
            "post_id": post as u64, "author_id": author as u64, "action": action });
        self.record("events", at, json!(user as u64), Some(event));
    }

    fn feed(&self) -> Vec<OraclePost> {
        self.oracle.feed(Id(VIEWER), NOW, OracleAlgo::Ranked)
    }

    fn feed_ids(&self) -> Vec<u128> {
        self.feed().iter().map(|post| post.id.0).collect()
    }
}

/// Authors as letters, best candidate first, in the order they are shown.
fn shown(candidates: &str) -> String {
    let letters: Vec<char> = candidates.chars().collect();
    let authors: Vec<Id> = letters.iter().map(|letter| Id(u128::from(*letter as u32))).collect();
    spaced(&authors).into_iter().map(|place| letters[place]).collect()
}

#[test]
fn the_first_five_places_have_five_authors() {
    // A's second may stand from place 6 on; by then A stood 5 places before.
    assert_eq!(shown("AABCDEF"), "ABCDEAF");
    // Places 2 and 3 are B and C; nothing of another author is left, so the best left stands.
    assert_eq!(shown("AABC"), "ABCA");
}

#[test]
fn places_of_an_author_differ_by_three() {
    // After ABCDE: A at 6, then A may not stand at 7 and 8 but at 9.
    assert_eq!(shown("AAABCDEFG"), "ABCDEAFGA");
    assert_eq!(shown("AAABCDEF"), "ABCDEAFA", "at place 8 none may stand, so the best left does");
}

#[test]
fn deferred_is_never_dropped() {
    assert_eq!(shown("AAAA"), "AAAA");
    assert_eq!(shown("AAB"), "ABA");
}

#[test]
fn an_author_stands_three_times_in_fifty_places() {
    // A's posts are the best; 60 other authors one post each.
    let others: String = (0..60).map(|other| char::from_u32(0x100 + other).unwrap()).collect();
    let order = shown(&format!("AAAAAA{others}"));
    let places: Vec<usize> =
        order.chars().enumerate().filter(|(_, author)| *author == 'A').map(|(place, _)| place + 1).collect();
    // 1; not before 6; three later 9. The fourth when place 1 is 50 back: 51. The fifth 50 after 6: 56; then 59.
    assert_eq!(places, [1, 6, 9, 51, 56, 59]);
}

#[test]
fn a_score_is_what_the_formula_says() {
    let mut desk = Desk::new();
    desk.follow(2);
    desk.post(10, 2, NOW - 10 * HOUR_MS);
    for _ in 0..4 {
        desk.event(7, 10, 2, "impression", NOW - HOUR_MS);
    }
    desk.event(7, 10, 2, "like", NOW - HOUR_MS);
    desk.event(7, 10, 2, "comment", NOW - HOUR_MS);
    desk.event(7, 10, 2, "share", NOW - HOUR_MS);
    desk.event(VIEWER, 99, 2, "view", NOW - 80 * DAY_MS);
    desk.event(VIEWER, 99, 2, "like", NOW - 80 * DAY_MS);
    let post = desk.feed().remove(0);
    // exp(-1); ln(1 + (1 + 2 + 3) / 4) = ln 2.5; ln(1 + 1 + 5) = ln 7.
    let close = |found: f64, wanted: f64| (found - wanted).abs() < 1e-12;
    assert!(close(post.freshness, 0.367_879_441_171_442_33));
    assert!(close(post.engagement, 0.916_290_731_874_155_1));
    assert!(close(post.affinity, 1.945_910_149_055_313_2));
    assert!(close(post.score, 0.110_363_832_351_432_7 + 0.366_516_292_749_662 + 0.583_773_044_716_594));
    assert_eq!(post.sources, ["followed", "affinity", "trending"]);
}

#[test]
fn equal_scores_stand_by_time_then_id_both_descending() {
    let mut desk = Desk::new();
    for author in 2..=4 {
        desk.follow(author);
    }
    desk.post(30, 2, NOW - HOUR_MS);
    desk.post(32, 3, NOW - HOUR_MS);
    desk.post(31, 4, NOW - HOUR_MS);
    assert_eq!(desk.feed_ids(), [32, 31, 30]);
    let newest: Vec<u128> = desk.oracle.feed(Id(VIEWER), NOW, OracleAlgo::Time).iter().map(|post| post.id.0).collect();
    assert_eq!(newest, [32, 31, 30]);
}

#[test]
fn window_ends_count_in() {
    let mut desk = Desk::new();
    for author in 2..=9 {
        desk.follow(author);
    }
    desk.post(20, 2, NOW - 3 * DAY_MS);
    desk.post(21, 3, NOW - 3 * DAY_MS - 1);
    desk.post(22, 4, NOW);
    desk.post(23, 5, NOW + 1);
    desk.post(24, 6, NOW - 2 * DAY_MS);
    desk.event(VIEWER, 24, 6, "view", NOW - DAY_MS);
    desk.post(25, 7, NOW - 2 * DAY_MS);
    desk.event(VIEWER, 25, 7, "view", NOW - DAY_MS - 1);
    desk.post(26, 11, NOW - 14 * DAY_MS);
    desk.post(27, 11, NOW - 14 * DAY_MS - 1);
    desk.event(VIEWER, 99, 11, "like", NOW - 5 * DAY_MS);
    let mut ids = desk.feed_ids();
    ids.sort_unstable();
    assert_eq!(ids, [20, 22, 25, 26]);
}

#[test]
fn engagement_counts_24_buckets_and_affinity_90_days() {
    let mut desk = Desk::new();
    desk.follow(2);
    desk.post(10, 2, NOW - HOUR_MS);
    let bucket = |back: u32| i64::from(hour_of(NOW) - back) * HOUR_MS;
    desk.event(7, 10, 2, "share", bucket(24) + HOUR_MS - 1);
    assert_eq!(desk.feed()[0].engagement, 0.0);
    desk.event(7, 10, 2, "share", bucket(23));
    assert_eq!(desk.feed()[0].engagement, 4f64.ln());

    let day = |back: u16| i64::from(day_of(NOW) - back) * DAY_MS;
    desk.event(VIEWER, 99, 2, "view", day(89) - 1);
    assert_eq!(desk.feed()[0].affinity, 0.0);
    desk.event(VIEWER, 99, 2, "view", day(89));
    assert_eq!(desk.feed()[0].affinity, 2f64.ln());
}

#[test]
fn trending_decays_by_whole_hours_over_the_buckets_the_window_touches() {
    let mut desk = Desk::new();
    desk.post(10, 2, NOW - 20 * DAY_MS);
    desk.event(7, 10, 2, "like", NOW);
    desk.event(7, 10, 2, "view", NOW - HOUR_MS);
    desk.event(7, 10, 2, "share", NOW - 2 * HOUR_MS);
    desk.post(11, 2, NOW - HOUR_MS);
    desk.event(7, 11, 2, "impression", NOW);
    // 2·1 + 0.1·0.9; the share lies in the third bucket back.
    let hour = desk.oracle.trending(OracleWindow::Hour, NOW);
    assert_eq!(hour, [(Id(10), 0.1 * 0.9 + 2.0)]);
    let day = desk.oracle.trending(OracleWindow::Day, NOW);
    assert!((day[0].1 - (5.0 * 0.95 * 0.95 + 0.1 * 0.95 + 2.0)).abs() < 1e-12);
}

#[test]
fn a_repeat_counts_once_within_the_hour_and_again_long_after() {
    let mut desk = Desk::new();
    let event = json!({ "event_id": IdKind::Uuid.format(Id(5)), "event_time": NOW - 5 * HOUR_MS, "user_id": 1,
        "post_id": 10, "action": "like" });
    for after in [0, HOUR_MS / 2, 4 * HOUR_MS] {
        desk.record("events", NOW - 5 * HOUR_MS + after, json!(1), Some(event.clone()));
    }
    assert_eq!(desk.oracle.hours()[&(Id(10), hour_of(NOW - 5 * HOUR_MS))].likes, 2);
    assert!(desk.oracle.days().is_empty(), "without an author it never counts for affinity");
    assert_eq!(desk.oracle.position("events", 0), Some(3));
}

#[test]
fn only_a_higher_version_changes_a_row_and_deletes_are_remembered() {
    let mut desk = Desk::new();
    let change = |op: &str, lsn: u64, row: Value| {
        let (before, after) = if op == "d" { (row, Value::Null) } else { (Value::Null, row) };
        json!({ "op": op, "before": before, "after": after, "source": { "lsn": lsn, "ts_ms": NOW } })
    };
    let row = json!({ "id": 10, "user_id": 2, "created_at": NOW - HOUR_MS });
    let key = json!({ "id": 10 });
    desk.record("cdc.posts", NOW, key.clone(), Some(change("c", 50, row.clone())));
    desk.record("cdc.posts", NOW, key.clone(), Some(change("d", 60, json!({ "id": 0, "user_id": null }))));
    desk.record("cdc.posts", NOW, key.clone(), None);
    assert!(desk.oracle.posts().is_empty(), "of a delete only the key is believed");
    desk.record("cdc.posts", NOW, key.clone(), Some(change("u", 55, row.clone())));
    desk.record("cdc.posts", NOW, key.clone(), Some(change("r", 60, row.clone())));
    assert!(desk.oracle.posts().is_empty(), "a lower or equal version changes nothing");
    desk.record("cdc.posts", NOW, key.clone(), Some(change("c", 61, row)));
    assert_eq!(desk.oracle.posts().len(), 1);
    let toasted = json!({ "id": 10, "user_id": "__debezium_unavailable_value", "created_at": NOW - 2 * HOUR_MS });
    desk.record("cdc.posts", NOW, key, Some(change("u", 62, toasted)));
    let held = desk.oracle.posts()[&Id(10)];
    assert_eq!((held.author, held.created_at), (Id(2), NOW - 2 * HOUR_MS));
}

#[test]
fn unusable_records_are_counted_by_reason_and_the_log_moves_on() {
    let mut desk = Desk::new();
    let event =
        |time: i64, user: Value| json!({ "event_time": time, "user_id": user, "post_id": 10, "action": "like" });
    desk.record("events", NOW, json!(1), Some(json!([1])));
    desk.record("events", NOW, json!(1), Some(json!({ "user_id": 1 })));
    desk.record("events", NOW, json!(1), Some(event(NOW, json!("c5f4f1ad-0cbb-4c77-93a9-9cdd29f3a5f6"))));
    desk.record("events", NOW, json!(1), Some(event(NOW - 90 * DAY_MS - 1, json!(1))));
    desk.record("events", NOW, json!(1), Some(event(NOW + 5 * 60_000 + 1, json!(1))));
    desk.record("events", NOW, json!(1), Some(event(NOW - 90 * DAY_MS, json!(1))));
    desk.record("events", NOW, json!(1), Some(event(NOW + 5 * 60_000, json!(1))));
    let dead = |reason| desk.oracle.dead().get(&("events".to_owned(), reason)).copied().unwrap_or(0);
    assert_eq!(dead(DeadReason::Malformed), 1);
    assert_eq!(dead(DeadReason::MissingField), 1);
    assert_eq!(dead(DeadReason::BadId), 1);
    assert_eq!(dead(DeadReason::TimeOutOfRange), 2);
    assert_eq!(desk.oracle.hours().len(), 2);
    assert_eq!(desk.oracle.position("events", 0), Some(7));
}

/// The oracle of a world whose log was told with `encoding` over four partitions a topic.
fn told(world: &World, encoding: Encoding) -> Oracle {
    let mut oracle = Oracle::new(encoding.ids, 0);
    let mut offsets: BTreeMap<(Topic, u32), i64> = BTreeMap::new();
    for message in world.history().flat_map(|fact| encoding.encode(&fact)) {
        let partition = partition_of(&message.key, 4);
        let offset = offsets.entry((message.topic, partition)).or_insert(0);
        let topic = message.topic.table().map_or("events".to_owned(), |table| format!("cdc.{table}"));
        let record = LogRecord {
            topic,
            partition,
            offset: *offset,
            time_ms: message.time_ms,
            key: Some(message.key),
            value: message.value,
        };
        oracle.fold(&record, message.time_ms);
        *offset += 1;
    }
    assert!(oracle.dead().is_empty() && oracle.stalled().is_empty(), "{:?}", oracle.dead());
    oracle
}

#[test]
fn a_world_is_the_same_in_every_shape_and_style_of_time() {
    for ids in [IdKind::Uuid, IdKind::U64] {
        let world = World::new(WorldConfig::small(11, ids));
        let plain = told(&world, Encoding::new(ids));
        for (shape, times) in Shape::ALL.into_iter().zip(TimeStyle::ALL.into_iter().rev()) {
            let other = told(&world, Encoding { ids, shape, times });
            assert!(plain.posts() == other.posts(), "{shape:?}");
            assert!(plain.follows() == other.follows(), "{shape:?}");
            assert!(plain.blocks() == other.blocks(), "{shape:?}");
            assert!(plain.likes() == other.likes(), "{shape:?}");
            assert!(plain.comments() == other.comments(), "{shape:?}");
            assert!(plain.hours() == other.hours() && plain.days() == other.days(), "{shape:?}");
        }
    }
}

#[test]
fn the_cast_stands_in_the_feed_as_its_cases_say() {
    let world = World::new(WorldConfig::small(11, IdKind::Uuid));
    let oracle = told(&world, Encoding::new(IdKind::Uuid));
    let viewer = world.cast().id(Role::Viewer);
    let now = world.config().now_ms;
    let feed = oracle.feed(viewer, now, OracleAlgo::Ranked);
    let sources = |case: Case, place: usize| -> Option<Vec<&'static str>> {
        let id = world.cast().of(case).nth(place).unwrap().id;
        feed.iter().find(|post| post.id == id).map(|post| post.sources.clone())
    };
    let shown = [
        Case::Twins,
        Case::OwnTwins,
        Case::At24h,
        Case::Beyond24h,
        Case::At72h,
        Case::AtNow,
        Case::Unblocked,
        Case::Restored,
        Case::Toasted,
        Case::ViewedBeyond24h,
        Case::Admired,
        Case::At14d,
        Case::Remembered,
        Case::Returned,
        Case::Viral,
    ];
    for case in shown {
        assert!(
            (0..2).any(|place| world.cast().of(case).nth(place).is_some() && sources(case, place).is_some()),
            "{case:?}"
        );
    }
    let left_out = [
        Case::Beyond72h,
        Case::Beyond14d,
        Case::Ahead,
        Case::FarAhead,
        Case::Blocking,
        Case::Blocked,
        Case::Hidden,
        Case::SoftDeleted,
        Case::HardDeleted,
        Case::ViewedAt24h,
        Case::ViewedWithin24h,
        Case::Own,
        Case::Forgotten,
        Case::Glimpsed,
        Case::Left,
    ];
    for case in left_out {
        for place in 0..world.cast().of(case).count() {
            assert_eq!(sources(case, place), None, "{case:?}");
        }
    }
    assert_eq!(sources(Case::Viral, 0), Some(vec!["trending"]));
    assert_eq!(sources(Case::At14d, 0), Some(vec!["affinity"]));
    let ordinary = oracle.feed(world.user(world.user_count() - 1), now, OracleAlgo::Ranked);
    assert!(ordinary.len() > 50, "{}", ordinary.len());
}
