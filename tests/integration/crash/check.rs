//! Whether a store is exactly the fold of the part of the log that its own offsets claim.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edgefeed::clock::now_ms;
use edgefeed_storage::Store;
use edgefeed_storage::model::{Id, IdKind};

use crate::compare;
use crate::log::topic_name;
use crate::oracle::{LogRecord, Oracle};

/// The offset each partition is to be read from next, by the Kafka name of its topic.
pub(crate) type Offsets = BTreeMap<(String, u32), i64>;

/// How far a store says it has come.
pub(crate) fn claims(store: &Store) -> Offsets {
    let positions = store.positions().unwrap();
    positions.iter().map(|(at, held)| ((topic_name(at.topic), at.partition), held.next_offset)).collect()
}

/// An oracle that follows a store along the log. What it has folded stays folded, so it can only be led forward.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) oracle: Oracle,
    folded: Offsets,
}

impl Follower {
    pub(crate) fn new() -> Self {
        Self { oracle: Oracle::new(IdKind::U64, 0), folded: Offsets::new() }
    }

    /// Folds each partition up to the offset claimed for it, in the order of the log; returns how many records.
    ///
    /// Partitions may be cut anywhere against each other: a row, and an event with its repeats, lives in one only.
    pub(crate) fn fold_to(&mut self, claims: &Offsets, log: &[LogRecord]) -> usize {
        for (place, folded) in &self.folded {
            let claimed = claims.get(place).copied().unwrap_or(0);
            assert!(claimed >= *folded, "{place:?} has been applied to {folded} and is now at {claimed}");
        }
        let mut count = 0;
        for record in log {
            let place = (record.topic.clone(), record.partition);
            let wanted = self.folded.get(&place).copied().unwrap_or(0)..claims.get(&place).copied().unwrap_or(0);
            if wanted.contains(&record.offset) {
                self.oracle.fold(record, now_ms());
                count += 1;
            }
        }
        self.folded.clone_from(claims);
        count
    }

    /// How many records the log has beyond what was folded.
    pub(crate) fn behind(&self, ends: &Offsets) -> i64 {
        ends.values().sum::<i64>() - self.folded.values().sum::<i64>()
    }

    /// Every fact of the store is the oracle's.
    pub(crate) fn compare(&self, store: &Store) {
        compare::facts(store, &self.oracle, now_ms());
        rows(store, &self.oracle);
    }

    /// As many dead letters as the oracle counts, or as many as are kept.
    pub(crate) fn compare_letters(&self, store: &Store, most: u64) {
        let mut letters = 0;
        store.each_dead_letter(|_, _, _| letters += 1).unwrap();
        assert_eq!(letters, self.oracle.dead().values().sum::<u64>().min(most), "dead letters");
    }

    /// Some viewers' feeds, from a store read into memory as a node does at its start, are the oracle's.
    pub(crate) fn compare_feeds(&self, store: &Arc<Store>, viewers: Vec<Id>) {
        let now_ms = now_ms();
        store.warm(now_ms).unwrap();
        compare::feeds(store, &compare::feed_over(store), &self.oracle, viewers, now_ms);
    }
}

/// Posts, comments and what hangs on them.
fn rows(store: &Store, oracle: &Oracle) {
    let mut posts = BTreeMap::new();
    store
        .each_post(|id, row| {
            if row.removed.is_none() {
                let (author, created_at) = row.author.unwrap();
                posts.insert(id, (author, created_at, row.hidden));
            }
        })
        .unwrap();
    let expected: BTreeMap<_, _> =
        oracle.posts().iter().map(|(id, post)| (*id, (post.author, post.created_at, post.deleted))).collect();
    assert_eq!(posts, expected, "live rows of posts");

    let mut index = BTreeSet::new();
    store
        .each_author_post(|author, created_at, post| {
            index.insert((author, created_at, post));
        })
        .unwrap();
    let shown = oracle.posts().iter().filter(|(_, post)| !post.deleted);
    let expected: BTreeSet<_> = shown.map(|(id, post)| (post.author, post.created_at, *id)).collect();
    assert_eq!(index, expected, "index of posts by author");

    let mut comments = BTreeMap::new();
    store
        .each_comment(|id, row| {
            if let Some(post) = row.live() {
                comments.insert(id, post);
            }
        })
        .unwrap();
    assert_eq!(&comments, oracle.comments(), "live rows of comments");
}
