//! What operators see of the store.

use edgefeed_storage::OpenOptions;
use edgefeed_storage::model::{
    Action, Cdc, Change, Event, Field, Outcome, Record, Row as TableRow, RowChange, Topic, TopicPartition, Version,
};
use serde_json::json;

use edgefeed_storage::Store;

use super::*;

const NOW: i64 = 1_795_376_817_860;

fn inspector(dir: &std::path::Path) -> Inspector {
    let config =
        edgefeed_storage::Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Default::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap();
    let row = |offset: i64, topic, row| Record {
        at: TopicPartition { topic, partition: 0 },
        offset,
        time: NOW,
        outcome: Outcome::Change(Change::Cdc(Cdc {
            version: Version::from_lsn(0, offset as u64),
            commit_time: NOW,
            change: RowChange::Upsert(row),
        })),
        raw: None,
    };
    let post = |id| TableRow::Post {
        id: Id(id),
        author: Field::Known(Id(2)),
        created_at: Field::Known(NOW),
        deleted: Field::Known(id == 21),
    };
    let event = |offset: i64, action| Record {
        at: TopicPartition { topic: Topic::Events, partition: 4 },
        offset,
        time: NOW,
        outcome: Outcome::Change(Change::Event(Event {
            event_id: offset as u128,
            event_time: NOW,
            user: Id(1),
            post: Id(20),
            author: Some(Id(2)),
            action,
            dwell_ms: 7,
        })),
        raw: None,
    };
    let records = [
        row(1, Topic::Posts, post(20)),
        row(2, Topic::Posts, post(21)),
        row(1, Topic::Follows, TableRow::Follow { follower: Id(1), following: Id(2) }),
        row(1, Topic::Likes, TableRow::Like { user: Id(1), post: Id(20) }),
        event(5, Action::View),
        event(6, Action::Hide),
    ];
    store.apply(&records, NOW).unwrap();
    let kafka = edgefeed_sync::Config {
        brokers: "127.0.0.1:1".to_owned(),
        request_timeout_ms: 100,
        ..edgefeed_sync::Config::default()
    };
    Inspector::new(std::sync::Arc::new(store), kafka)
}

#[test]
fn a_user_a_post_and_an_author_are_told_as_the_store_holds_them() {
    let dir = tempfile::tempdir().unwrap();
    let inspector = inspector(dir.path());
    let user = serde_json::to_value(inspector.user("1", 5, NOW).unwrap()).unwrap();
    assert_eq!(user["follows"], json!({ "total": 1, "first": [2] }));
    assert_eq!(user["likes"], json!({ "total": 1, "first": [20] }));
    assert_eq!(user["viewed"]["first"][0], json!({ "post": 20, "at": rfc3339(NOW) }));
    assert_eq!(
        (&user["history"]["first"][0]["author"], &user["history"]["first"][0]["own"]["views"]),
        (&json!(2), &json!(1))
    );
    assert_eq!((&user["forgotten"], &user["base"]), (&json!(null), &json!(null)));
    let post = inspector.post("20").unwrap();
    assert_eq!((post.state.as_str(), post.like_count, post.author), ("live", 1, Some(json!(2))));
    assert_eq!((post.hours.len(), post.hours[0].events.views, post.hours[0].events.dwell_ms), (1, 1, 14));
    assert_eq!(inspector.post("21").unwrap().state, "hidden");
    assert_eq!(inspector.post("99").unwrap().state, "unknown");
    let author = inspector.author("2", 5, NOW).unwrap();
    assert_eq!((author.posts.total, author.in_memory, author.followers.first), (1, 1, vec![json!(1)]));
}

#[test]
fn offsets_are_told_without_kafka_and_an_id_of_another_kind_is_the_callers_error() {
    let dir = tempfile::tempdir().unwrap();
    let inspector = inspector(dir.path());
    let offsets = inspector.offsets().unwrap();
    assert!(offsets.kafka.is_some(), "no broker answers at port 1");
    let events = offsets.partitions.iter().find(|at| at.topic == "events").unwrap();
    assert_eq!((events.partition, events.next_offset, events.marked_from, events.lag), (4, Some(7), Some(5), None));
    let error = inspector.user("11111111-2222-4333-8444-555555555555", 5, NOW).unwrap_err().to_string();
    assert!(error.contains("write a number"), "{error}");
    let size = inspector.store().unwrap();
    assert!(size.families.iter().any(|family| family.family == "posts" && family.entries == 2));
}
