//! What operators see of the dead letters.

use std::path::Path;
use std::sync::Arc;

use edgefeed_storage::model::{IdKind, Outcome, Record, Refusal};
use edgefeed_storage::{OpenOptions, Store};

use super::*;

const NOW: i64 = 1_795_376_817_860;

/// A store with five dead letters: three of events in two partitions, two of likes.
pub(crate) fn store_with_letters(dir: &Path) -> Store {
    let config =
        edgefeed_storage::Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Default::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap();
    let dead = |topic, partition, offset, age_ms, reason, value: &[u8]| Record {
        at: TopicPartition { topic, partition },
        offset,
        time: NOW - age_ms,
        outcome: Outcome::Dead {
            refusal: Refusal { reason, detail: "why".to_owned() },
            key: Some(b"k".to_vec()),
            value: Some(value.to_vec()),
        },
        raw: None,
    };
    let records = [
        dead(Topic::Events, 0, 0, 50, DeadReason::Malformed, &[0xff, 0, 1]),
        dead(Topic::Events, 0, 1, 10, DeadReason::BadId, b"{}"),
        dead(Topic::Events, 1, 7, 30, DeadReason::Malformed, b"{"),
        dead(Topic::Likes, 0, 3, 20, DeadReason::Malformed, b"["),
        dead(Topic::Likes, 0, 4, 20, DeadReason::UnknownOp, b"]"),
    ];
    store.apply(&records, NOW).unwrap();
    store
}

fn letters(dir: &Path) -> DeadLetters {
    DeadLetters::new(Arc::new(store_with_letters(dir)), Topics::default())
}

fn keys(listing: &Listing) -> Vec<&str> {
    listing.letters.iter().map(|line| line.key.as_str()).collect()
}

#[test]
fn a_list_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let letters = letters(dir.path());
    let mut query = ListQuery { topic: None, reason: None, limit: 2, cursor: None };
    let mut all = Vec::new();
    loop {
        let page = letters.list(&query).unwrap();
        all.extend(keys(&page).into_iter().map(str::to_owned));
        if page.cursor.is_none() {
            break;
        }
        query.cursor = page.cursor;
    }
    assert_eq!(all, ["events-0-1", "cdc.likes-0-4", "cdc.likes-0-3", "events-1-7", "events-0-0"]);
    let query =
        ListQuery { topic: Some("likes".to_owned()), reason: Some("malformed".to_owned()), limit: 9, cursor: None };
    assert_eq!(keys(&letters.list(&query).unwrap()), ["cdc.likes-0-3"]);
}

#[test]
fn bytes_are_shown_as_they_were_whatever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let letters = letters(dir.path());
    for (key, bytes) in [("events-0-0", &[0xff, 0, 1][..]), ("likes-0-4", b"]")] {
        let shown = letters.show(key).unwrap().unwrap();
        let back: Shown = serde_json::from_str(&serde_json::to_string(&shown).unwrap()).unwrap();
        assert_eq!(back, shown);
        assert_eq!(back.value.unwrap().to_vec().unwrap(), bytes);
    }
    assert_eq!(letters.show("events-0-99").unwrap(), None);
}

#[test]
fn an_order_to_drop_names_its_letters_in_one_way() {
    let dir = tempfile::tempdir().unwrap();
    let letters = letters(dir.path());
    let keys = vec!["events-0-0".to_owned(), "cdc.likes-0-99".to_owned()];
    let both = DropOrder { keys: keys.clone(), all: true, ..DropOrder::default() };
    for order in [DropOrder::default(), both] {
        assert!(matches!(letters.discard(&order), Err(Trouble::Asked(_))));
    }
    assert_eq!(letters.discard(&DropOrder { keys, ..DropOrder::default() }).unwrap().dropped, 1);
    let order = DropOrder { reason: Some("malformed".to_owned()), ..DropOrder::default() };
    assert_eq!(letters.discard(&order).unwrap().dropped, 2);
    assert_eq!(letters.counts().unwrap().total, 2);
    assert_eq!(letters.discard(&DropOrder { all: true, ..DropOrder::default() }).unwrap().dropped, 2);
    assert_eq!(letters.counts().unwrap(), Counts { counts: vec![], total: 0 });
}

#[test]
fn what_cannot_be_is_told_with_what_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let letters = letters(dir.path());
    let told = |trouble: Trouble| match trouble {
        Trouble::Asked(message) => message,
        Trouble::Store(error) => panic!("{error}"),
    };
    assert!(told(letters.show("blogs-0-1").unwrap_err()).contains("cdc.posts"));
    assert!(told(letters.show("events-0").unwrap_err()).contains("TOPIC-PARTITION-OFFSET"));
    assert!(told(letters.accept("events", 1).unwrap_err()).contains("TOPIC-PARTITION"));
    assert!(told(letters.accept("events-+1", 1).unwrap_err()).contains("TOPIC-PARTITION"));
    assert!(told(letters.accept("events-1", -1).unwrap_err()).contains("0 or more"));
    assert!(told(reason_of("odd").unwrap_err()).contains("malformed"));
    let accepted = letters.accept("cdc.posts-3", 44).unwrap();
    assert_eq!((accepted.partition.as_str(), accepted.through, accepted.before), ("cdc.posts-3", 44, None));
    assert_eq!(letters.accept("posts-3", 12).unwrap().before, Some(44));
}
