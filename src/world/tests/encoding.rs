//! Facts as changes and as bytes.

use std::collections::HashSet;

use edgefeed_storage::model::{Change, Field, IdKind, Row, RowChange, RowKey, Topic};
use serde_json::Value;

use super::super::{Case, Encoding, Fact, Op, Shape, TimeStyle, What};
use super::{KINDS, small};

#[test]
fn a_fact_becomes_the_change_it_tells() {
    let world = small(IdKind::Uuid);
    let (mut deletes, mut unchanged) = (0, 0);
    for fact in world.history() {
        match (fact.what, fact.to_change(3)) {
            (What::Event(event), Change::Event(change)) => {
                assert_eq!((event.user, event.post, event.event_time), (change.user, change.post, change.event_time));
            }
            (What::Row(row), Change::Cdc(cdc)) => {
                assert_eq!((cdc.version.epoch, cdc.version.value), (3, row.lsn));
                match cdc.change {
                    RowChange::Delete(key) => {
                        assert_eq!((row.op, row.row.key()), (Op::Delete, key));
                        deletes += 1;
                    }
                    RowChange::Upsert(Row::Post { author: Field::Unchanged, .. }) => unchanged += 1,
                    RowChange::Upsert(_) => assert_ne!(row.op, Op::Delete),
                    RowChange::Truncate => panic!("nobody truncates"),
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(deletes > 50 && unchanged > 2, "{deletes} {unchanged}");
}

#[test]
fn an_event_without_id_gets_the_same_derived_id_each_time() {
    let world = small(IdKind::Uuid);
    let nameless = |fact: &Fact| matches!(fact.what, What::Event(event) if event.event_id.is_none());
    let mut ids = HashSet::new();
    for fact in world.history().filter(nameless).take(50) {
        let Change::Event(event) = fact.to_change(0) else { panic!("not an event") };
        assert_eq!(fact.to_change(9), Change::Event(event.clone()));
        ids.insert(event.event_id);
    }
    assert!(ids.len() > 45);
}

#[test]
fn a_delete_is_a_d_and_a_tombstone_under_one_key_in_every_shape() {
    for kind in KINDS {
        let world = small(kind);
        let delete = world
            .history()
            .find(|fact| matches!(fact.what, What::Row(row) if row.op == Op::Delete && row.row.topic() == Topic::Likes))
            .unwrap();
        for shape in Shape::ALL {
            let messages = Encoding { shape, ..Encoding::new(kind) }.encode(&delete);
            assert_eq!(messages.len(), 2);
            assert_eq!(messages[0].key, messages[1].key);
            assert!(messages[0].value.is_some() && messages[1].value.is_none());
            let key: Value = serde_json::from_slice(&messages[0].key).unwrap();
            let key = key.get("payload").unwrap_or(&key);
            let names: Vec<&String> = key.as_object().unwrap().keys().collect();
            assert_eq!(names, ["post_id", "user_id"]);
            assert_eq!(key["post_id"].is_u64(), kind == IdKind::U64);
        }
    }
}

#[test]
fn each_shape_carries_its_marks() {
    let world = small(IdKind::Uuid);
    let create = world.history().find(|fact| matches!(fact.what, What::Row(row) if row.op == Op::Create)).unwrap();
    let What::Row(row) = create.what else { panic!("not a row") };
    let value = |shape| -> Value {
        let message = Encoding { shape, ..Encoding::new(IdKind::Uuid) }.encode(&create).remove(0);
        serde_json::from_slice(&message.value.unwrap()).unwrap()
    };
    let plain = value(Shape::Envelope);
    assert_eq!((plain["op"].as_str(), plain["source"]["lsn"].as_u64()), (Some("c"), Some(row.lsn)));
    assert_eq!(plain["source"]["ts_ms"].as_i64(), Some(row.commit_ms));
    assert!(plain["before"].is_null() && plain["after"].is_object());
    assert_eq!(value(Shape::WithSchema)["payload"], plain);
    assert!(value(Shape::WithSchema)["schema"]["fields"].is_array());
    let flattened = value(Shape::Flattened);
    assert_eq!((flattened["__op"].as_str(), flattened["__lsn"].as_u64()), (Some("c"), Some(row.lsn)));
    assert_eq!(flattened["__deleted"], "false");
    let flat = value(Shape::Flat);
    let names: Vec<&String> = flat.as_object().unwrap().keys().collect();
    assert_eq!(names, ["after", "before", "op", "table", "ts_ms"]);
}

#[test]
fn times_are_written_in_the_style_asked_for() {
    let world = small(IdKind::Uuid);
    let twin = world.cast().of(Case::Twins).next().unwrap();
    let is_it = |fact: &Fact| matches!(fact.what, What::Row(row) if row.row.key() == RowKey::Post(twin.id));
    let fact = world.history().find(is_it).unwrap();
    let created = TimeStyle::ALL.map(|times| {
        let message = Encoding { times, ..Encoding::new(IdKind::Uuid) }.encode(&fact).remove(0);
        let value: Value = serde_json::from_slice(&message.value.unwrap()).unwrap();
        value["after"]["created_at"].clone()
    });
    assert_eq!(created[0], "2026-11-22T18:46:57.860000Z");
    assert_eq!(created[1], twin.created_at);
    assert_eq!(created[2], twin.created_at * 1_000);
    assert_eq!(created[3], twin.created_at * 1_000_000);
}
