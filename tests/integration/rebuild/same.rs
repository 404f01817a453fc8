//! Two stores that no node holds any more are the same to every reader, and to the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use edgefeed::feed::{Algo, Feed, FeedRequest};
use edgefeed_storage::Store;
use edgefeed_storage::key::Family;
use edgefeed_storage::model::{Counters, Id, IdKind, TimestampMs, hour_of};
use edgefeed_storage::retention::POST_HOURS_KEPT;

use crate::center::log::{Entry, Ids, Source};
use crate::compare;
use crate::oracle::{LogRecord, Oracle};

pub(super) fn kind(ids: Ids) -> IdKind {
    if ids == Ids::U64 { IdKind::U64 } else { IdKind::Uuid }
}

/// The fold of a log, as the contract has it.
pub(super) fn oracle(ids: Ids, log: &[Entry], now_ms: TimestampMs) -> Oracle {
    let mut oracle = Oracle::new(kind(ids), 0);
    for entry in log {
        let table = entry.source.name();
        let record = LogRecord {
            topic: if entry.source == Source::Events { table.to_owned() } else { format!("cdc.{table}") },
            partition: entry.partition,
            offset: entry.offset,
            time_ms: entry.time_ms,
            key: Some(entry.key.clone()),
            value: entry.value.clone(),
        };
        oracle.fold(&record, now_ms);
    }
    oracle
}

pub(super) fn open(dir: &Path, ids: Ids, now_ms: TimestampMs) -> (Arc<Store>, Feed) {
    let store = compare::open(dir, kind(ids));
    // As a node does at its start: what trends is found in memory.
    store.warm(now_ms).unwrap();
    let feed = compare::feed_over(&store);
    (store, feed)
}

/// Every feed of these readers, whole, both orders, as JSON: how many posts they have in all.
pub(super) fn feeds(one: &Feed, other: &Feed, readers: impl IntoIterator<Item = Id>, now_ms: TimestampMs) -> usize {
    let mut posts = 0;
    for reader in readers {
        for algo in [Algo::Ranked, Algo::Time] {
            let request = FeedRequest { limit: usize::MAX, algo, explain: true, ..FeedRequest::of(reader) };
            let page = |feed: &Feed| serde_json::to_value(feed.page(&request, now_ms).unwrap().posts).unwrap();
            let (left, right) = (page(one), page(other));
            posts += left.as_array().unwrap().len();
            assert_eq!(left, right, "feed {algo:?} of {reader:?}");
        }
    }
    posts
}

/// Every fact that readers can meet, however it is kept.
pub(super) fn facts(one: &Store, other: &Store, readers: &[Id], now_ms: TimestampMs) {
    assert_eq!(rows(one), rows(other), "rows and indexes");
    assert_eq!(hours(one, now_ms), hours(other, now_ms), "hourly counters");
    for reader in readers {
        assert_eq!(history(one, *reader, now_ms), history(other, *reader, now_ms), "history of {reader:?}");
    }
}

/// Rows with their versions, what follows from them, and what readers hid and viewed.
fn rows(store: &Store) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut note = |line: String| all.extend([line]);
    store
        .each_post(|id, row| {
            // Of a deleted row, the center knows no more than the key.
            let of = row.author.filter(|_| row.removed.is_none());
            let hidden = row.hidden && row.removed.is_none();
            note(format!("post {id:?} {} {} {hidden} {of:?}", row.version, row.removed.is_some()));
        })
        .unwrap();
    store.each_comment(|id, row| note(format!("comment {id:?} {} {:?}", row.version, row.live()))).unwrap();
    for family in [Family::Follows, Family::Blocks, Family::Likes] {
        store
            .each_link(family, |first, second, row| {
                note(format!("{} {first:?} {second:?} {} {}", family.name(), row.version, row.removed.is_some()));
            })
            .unwrap();
    }
    for family in [Family::Followers, Family::BlockedBy] {
        store.each_index(family, |of, who| note(format!("{} {of:?} {who:?}", family.name()))).unwrap();
    }
    store.each_author_post(|author, at, post| note(format!("by {author:?} {at} {post:?}"))).unwrap();
    store
        .each_row_counts(|post, counts| {
            if (counts.likes, counts.comments) != (0, 0) {
                note(format!("counts {post:?} {} {}", counts.likes, counts.comments));
            }
        })
        .unwrap();
    store.each_seen(Family::Hides, |user, post, _| note(format!("hidden {user:?} {post:?}"))).unwrap();
    all
}

fn hours(store: &Store, now_ms: TimestampMs) -> BTreeMap<(Id, u32), Counters> {
    let (oldest, mut hours) = (hour_of(now_ms) + 2 - POST_HOURS_KEPT, BTreeMap::new());
    store.each_post_hour(|post, hour, sums| hours.extend([((post, hour), sums)])).unwrap();
    hours.retain(|(_, hour), sums| *hour >= oldest && *sums != Counters::default());
    hours
}

/// What a reader did with authors' posts, wherever it is kept, and what they viewed in the last day.
fn history(store: &Store, reader: Id, now_ms: TimestampMs) -> (BTreeMap<Id, Counters>, BTreeMap<Id, TimestampMs>) {
    let view = store.view(reader, now_ms).unwrap();
    let viewer = view.viewer();
    let history = viewer.history.iter().map(|(author, sums)| (view.author_id(*author).unwrap(), *sums));
    let history = history.filter(|(_, sums)| *sums != Counters::default()).collect();
    let viewed = viewer.viewed.iter().filter(|(_, at)| **at >= now_ms - 86_400_000);
    (history, viewed.map(|(post, at)| (*post, *at)).collect())
}
