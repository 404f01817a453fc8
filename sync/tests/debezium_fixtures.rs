//! Records of the real connector (tests/fixtures/debezium) decode, and the shapes of one history say the same.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use edgefeed_storage::model::{
    Cdc, Change, DeadReason, Field, Id, IdKind, Outcome, Row, RowChange, RowKey, Topic, VersionKind,
};
use edgefeed_sync::decode::{Decode, decode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Captured {
    topic: String,
    partition: u32,
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
}

/// A fixture's record, decoded.
struct Decoded {
    topic: Topic,
    partition: u32,
    line: String,
    outcome: Outcome,
}

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/debezium")
}

fn topic_of(name: &str) -> Option<Topic> {
    Topic::ALL.into_iter().find(|topic| topic.table().is_some_and(|table| name == format!("cdc.{table}")))
}

/// The records of a fixture that stand in topics we follow.
fn fixture(name: &str) -> Vec<Decoded> {
    let ids = if name.ends_with("_u64") { IdKind::U64 } else { IdKind::Uuid };
    let settings = Decode { ids, cdc_epoch: 1, record_max_bytes: 1 << 20 };
    let text = std::fs::read_to_string(dir().join(format!("{name}.jsonl"))).unwrap();
    let read = |line: &str| {
        let record: Captured = serde_json::from_str(line).unwrap();
        let topic = topic_of(&record.topic)?;
        let (key, value) = (record.key.as_deref().map(str::as_bytes), record.value.as_deref().map(str::as_bytes));
        let now_ms = record.timestamp + 5;
        let outcome = decode(topic, record.offset, record.timestamp, key, value, &settings, now_ms);
        Some(Decoded { topic, partition: record.partition, line: line.to_owned(), outcome })
    };
    text.lines().filter_map(read).collect()
}

fn cdcs(name: &str) -> Vec<(Topic, Cdc)> {
    let decoded = fixture(name).into_iter();
    let changes = decoded.filter_map(|record| match record.outcome {
        Outcome::Change(Change::Cdc(cdc)) => Some((record.topic, cdc)),
        Outcome::Change(_) => None,
        Outcome::Dead { refusal, .. } => panic!("{name}: {refusal:?}: {}", record.line),
    });
    changes.collect()
}

fn key(row: &Row) -> RowKey {
    match *row {
        Row::Post { id, .. } => RowKey::Post(id),
        Row::Follow { follower, following } => RowKey::Follow(follower, following),
        Row::Comment { id, .. } => RowKey::Comment(id),
        Row::Like { user, post } => RowKey::Like(user, post),
        Row::Block { blocker, blocked } => RowKey::Block(blocker, blocked),
        Row::User { id } => RowKey::User(id),
    }
}

/// Of each row its changes in the order of the log, without the versions, which differ from capture to capture.
fn histories(name: &str) -> BTreeMap<String, Vec<RowChange>> {
    let mut histories: BTreeMap<String, Vec<(u64, RowChange)>> = BTreeMap::new();
    for (topic, cdc) in cdcs(name) {
        let row = match &cdc.change {
            RowChange::Upsert(row) => format!("{:?}", key(row)),
            RowChange::Delete(key) => format!("{key:?}"),
            RowChange::Truncate => topic.name().to_owned(),
        };
        histories.entry(row).or_default().push((cdc.version.packed(), cdc.change));
    }
    let in_order = |mut changes: Vec<(u64, RowChange)>| {
        changes.sort_by_key(|(version, _)| *version);
        changes.into_iter().map(|(_, change)| change).collect()
    };
    histories.into_iter().map(|(row, changes)| (row, in_order(changes))).collect()
}

fn id(number: u128) -> Id {
    Id(0x0000_0000_0000_4000_8000_0000_0000_0000 + number)
}

fn created_at(name: &str, post: u128) -> Vec<Field<i64>> {
    let changes = histories(name).remove(&format!("{:?}", RowKey::Post(id(post)))).unwrap();
    let times = changes.into_iter().filter_map(|change| match change {
        RowChange::Upsert(Row::Post { created_at, .. }) => Some(created_at),
        _ => None,
    });
    times.collect()
}

#[test]
fn every_captured_record_of_our_topics_is_usable() {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            for record in fixture(&name) {
                if let Outcome::Dead { refusal, .. } = record.outcome {
                    panic!("{name}: {refusal:?}: {}", record.line);
                }
            }
            seen.insert(name);
        }
    }
    assert!(seen.len() >= 30, "{seen:?}");
}

#[test]
fn the_shapes_of_one_history_say_the_same() {
    let plain = histories("envelope");
    assert!(plain.len() > 10, "{plain:?}");
    for shape in ["envelope_schemas", "flattened", "flattened_schemas", "flattened_tombstone"] {
        assert_eq!(histories(shape), plain, "{shape}");
    }
    assert_eq!(histories("flattened_u64"), histories("envelope_u64"));
    assert_eq!(histories("flattened_key_change"), histories("key_change"));
    assert_eq!(histories("key_change_schemas"), histories("key_change"));
    assert_eq!(histories("flattened_replica_identity_full"), histories("replica_identity_full"));
    assert_eq!(histories("flattened_toast"), histories("toast"));
    assert_eq!(histories("flattened_incremental_snapshot"), histories("incremental_snapshot"));
}

#[test]
fn the_plain_history_is_what_the_sql_did() {
    let histories = histories("envelope");
    let of = |key: RowKey| histories[&format!("{key:?}")].clone();
    let post = |deleted| {
        RowChange::Upsert(Row::Post {
            id: id(0x101),
            author: Field::Known(id(1)),
            created_at: Field::Known(1_795_165_200_123),
            deleted: Field::Known(deleted),
        })
    };
    assert_eq!(of(RowKey::Post(id(0x101))), [post(false), post(false), post(true)]);
    assert_eq!(of(RowKey::Post(id(0x102))).last(), Some(&RowChange::Delete(RowKey::Post(id(0x102)))));
    let follow = RowKey::Follow(id(2), id(1));
    let followed = RowChange::Upsert(Row::Follow { follower: id(2), following: id(1) });
    assert_eq!(of(follow), [followed, RowChange::Delete(follow)]);
    let comment = RowChange::Upsert(Row::Comment { id: id(0x202), post: Field::Known(id(0x101)), user: Some(id(3)) });
    assert_eq!(of(RowKey::Comment(id(0x202))), [comment]);
}

#[test]
fn every_row_change_has_a_log_position() {
    for name in
        ["envelope", "flattened", "snapshot", "incremental_snapshot", "flattened_incremental_snapshot", "truncate"]
    {
        for (topic, cdc) in cdcs(name) {
            assert_eq!(cdc.version.kind, VersionKind::Lsn, "{name} {topic:?} {cdc:?}");
        }
    }
}

#[test]
fn no_mode_of_times_changes_a_time() {
    let (first, second) = (Field::Known(1_795_165_200_123), Field::Known(1_795_168_800_000));
    for mode in ["adaptive", "connect", "isostring", "microseconds", "nanoseconds"] {
        for name in [format!("times_{mode}"), format!("times_{mode}_schemas")] {
            assert_eq!(created_at(&name, 0x101)[0], first, "{name}");
            assert_eq!(created_at(&name, 0x102)[0], second, "{name}");
        }
    }
}

#[test]
fn a_key_change_is_a_delete_and_a_create_of_one_position() {
    let cdcs = cdcs("key_change");
    let deletes = cdcs.iter().filter(|(_, cdc)| matches!(cdc.change, RowChange::Delete(_)));
    let pairs = deletes.filter(|(topic, gone)| {
        cdcs.iter().any(|(other, cdc)| {
            other == topic && cdc.version == gone.version && matches!(cdc.change, RowChange::Upsert(_))
        })
    });
    assert!(pairs.count() > 0, "{cdcs:?}");
}

#[test]
fn a_truncate_is_one_whatever_partition_it_lands_in() {
    let truncated: BTreeSet<Topic> = cdcs("truncate")
        .into_iter()
        .filter_map(|(topic, cdc)| (cdc.change == RowChange::Truncate).then_some(topic))
        .collect();
    assert_eq!(truncated, BTreeSet::from([Topic::Posts, Topic::Follows, Topic::Likes]));
}

#[test]
fn a_delete_that_is_only_a_tombstone_asks_for_nothing() {
    let nothing = fixture("flattened_delete_to_tombstone")
        .into_iter()
        .filter(|record| record.outcome == Outcome::Change(Change::Nothing));
    assert_eq!(nothing.count(), 6);
}

#[test]
fn a_record_in_the_topic_of_another_table_is_refused() {
    let settings = Decode { ids: IdKind::Uuid, cdc_epoch: 1, record_max_bytes: 1 << 20 };
    let text = std::fs::read_to_string(dir().join("envelope.jsonl")).unwrap();
    let mut refused = 0;
    for line in text.lines() {
        let record: Captured = serde_json::from_str(line).unwrap();
        let (Some(value), true) = (record.value, record.topic != "cdc.users") else { continue };
        let outcome =
            decode(Topic::Users, 0, record.timestamp, None, Some(value.as_bytes()), &settings, record.timestamp);
        let Outcome::Dead { refusal, .. } = outcome else { panic!("{line}") };
        assert_eq!(refusal.reason, DeadReason::TableMismatch);
        refused += 1;
    }
    assert!(refused > 10);
    assert!(fixture("envelope").iter().any(|record| record.partition > 0));
}
