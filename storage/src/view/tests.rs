//! What is to be done at once waits for nobody.

use super::*;
use crate::model::{
    Action, Cdc, Change, Event, IdKind, Outcome, Record, Row, RowChange, RowKey, Topic, TopicPartition, Version,
};
use crate::{Config, OpenOptions};

const NOW: TimestampMs = 1_795_376_817_860;
const ME: Id = Id(1);

fn event(offset: i64) -> Record {
    let event = Event {
        event_id: u128::from(offset.cast_unsigned()),
        event_time: NOW,
        user: ME,
        post: Id(7),
        author: Some(Id(20)),
        action: Action::View,
        dwell_ms: 0,
    };
    let at = TopicPartition { topic: Topic::Events, partition: 0 };
    Record { at, offset, time: NOW, outcome: Outcome::Change(Change::Event(event)), raw: None }
}

#[test]
fn a_view_at_once_is_had_where_nothing_is_in_the_way_and_waits_for_nothing_itself() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap();
    let at_once = || store.view_at_once(ME, NOW).is_some();
    assert!(!at_once(), "the reader's facts lie on disk");
    drop(store.view(ME, NOW).unwrap());
    assert!(at_once());
    {
        let _somebody_writes = store.hot.write();
        assert!(!at_once());
    }
    store.apply(&[event(0)], NOW).unwrap();
    assert!(!at_once(), "the facts that were read are no longer so");
    drop(store.view(ME, NOW).unwrap());
    assert!(at_once());
    assert!(store.view_at_once(ME, NOW + crate::model::DAY_MS).is_none(), "nor are yesterday's");
    // No such post is in memory; whether there is one, only the disk tells.
    assert!(store.view(ME, NOW).unwrap().load_posts(&[Id(99)]).unwrap(), "nothing is left out for want of memory");
    let mut view = store.view_at_once(ME, NOW).unwrap();
    assert!(matches!(view.load_posts(&[Id(99)]), Err(StoreError::WouldWait)));
}

fn like(offset: i64, post: u128, there: bool) -> Record {
    let at = TopicPartition { topic: Topic::Likes, partition: 0 };
    let change = if there {
        RowChange::Upsert(Row::Like { user: ME, post: Id(post) })
    } else {
        RowChange::Delete(RowKey::Like(ME, Id(post)))
    };
    let version = Version::from_lsn(0, offset.cast_unsigned() + 1);
    let cdc = Cdc { version, commit_time: NOW, change };
    Record { at, offset, time: NOW, outcome: Outcome::Change(Change::Cdc(cdc)), raw: None }
}

#[test]
fn what_a_reader_likes_is_told_as_of_now_however_much_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap();
    let mut due = std::collections::BTreeSet::new();
    let asked: Vec<Id> = (0..2_000).map(Id).collect();
    // Few rows are kept with the reader's facts, many are looked up, and rows that are gone are rows.
    let steps = [0..10, 10..500, 500..520, 520..1_500];
    let mut offset = 0;
    for (step, posts) in steps.into_iter().enumerate() {
        for post in posts.clone() {
            store.apply(&[like(offset, post, true)], NOW).unwrap();
            due.insert(Id(post));
            offset += 1;
        }
        let gone = posts.start + step as u128;
        store.apply(&[like(offset, gone, false)], NOW).unwrap();
        due.remove(&Id(gone));
        offset += 1;
        let liked = store.view(ME, NOW).unwrap().liked(&asked).unwrap();
        let liked = asked.iter().zip(liked).filter(|(_, liked)| *liked).map(|(post, _)| *post);
        assert_eq!(liked.collect::<std::collections::BTreeSet<_>>(), due, "step {step}");
        let at_once = store.view_at_once(ME, NOW).unwrap().liked(&asked).unwrap();
        assert_eq!(at_once.iter().filter(|liked| **liked).count(), due.len(), "step {step}");
    }
}
