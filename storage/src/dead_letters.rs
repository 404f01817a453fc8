//! Dead letters for operators: listed, shown, counted, dropped; and up to where bad records are accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{DeadReason, TimestampMs, Topic, TopicPartition};
use crate::store::Store;
use crate::value::{self, DeadLetter, LetterHead};

/// How many dead letters one write drops.
const DROPPED_AT_ONCE: usize = 4_096;
/// The name in `Meta`.
const ACCEPTED: &str = "bad_through";

/// Where a dead letter stands in a list: newest first, by record time, then by topic, partition and offset downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterPlace {
    /// Kafka's record time.
    pub time: TimestampMs,
    /// The partition it stood in.
    pub at: TopicPartition,
    /// Its offset.
    pub offset: i64,
}

/// A dead letter without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterLine {
    /// Where it stands.
    pub place: LetterPlace,
    /// The class of the fault.
    pub reason: DeadReason,
    /// What exactly was wrong.
    pub detail: String,
    /// The length of the record's value, in bytes.
    pub value_bytes: u64,
}

/// Which dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this topic; of all without one.
    pub topic: Option<Topic>,
    /// With this reason; with any without one.
    pub reason: Option<DeadReason>,
}

impl LetterFilter {
    fn takes(&self, reason: DeadReason) -> bool {
        self.reason.is_none_or(|wanted| wanted == reason)
    }

    /// The prefix of the keys that may match.
    fn prefix(&self) -> Key {
        self.topic.map_or_else(Key::new, key::topic)
    }
}

impl Store {
    /// The newest dead letters that match, `limit` at most, from below a place on. Reads every one that matches: for
    /// operators, not for requests.
    pub fn dead_letters(
        &self,
        filter: &LetterFilter,
        below: Option<LetterPlace>,
        limit: usize,
    ) -> Result<Vec<LetterLine>> {
        let mut newest: BTreeMap<LetterPlace, LetterLine> = BTreeMap::new();
        self.each_letter_head(filter, |at, offset, head| {
            let place = LetterPlace { time: head.time, at, offset };
            let full = newest.len() >= limit;
            if below.is_some_and(|below| place >= below)
                || (full && newest.first_key_value().is_none_or(|(oldest, _)| place < *oldest))
            {
                return;
            }
            if full {
                newest.pop_first();
            }
            let LetterHead { reason, detail, value_bytes, .. } = head;
            newest.insert(place, LetterLine { place, reason, detail, value_bytes });
        })?;
        Ok(newest.into_values().rev().collect())
    }

    /// How many dead letters there are, by topic and reason.
    pub fn dead_letter_counts(&self) -> Result<BTreeMap<(Topic, DeadReason), u64>> {
        let mut counts = BTreeMap::new();
        self.each_letter_head(&LetterFilter::default(), |at, _, head| {
            *counts.entry((at.topic, head.reason)).or_default() += 1;
        })?;
        Ok(counts)
    }

    /// One dead letter, whole.
    pub fn dead_letter(&self, at: TopicPartition, offset: i64) -> Result<Option<DeadLetter>> {
        let bytes = self.engine.get(Family::DeadLetters, &key::record(at, offset))?;
        bytes.map(|bytes| value::decode(Family::DeadLetters, &bytes)).transpose()
    }

    /// Drops dead letters by where they stood; gives back how many there were.
    pub fn drop_dead_letters(&self, letters: &[(TopicPartition, i64)]) -> Result<u64> {
        let keys: BTreeSet<Key> = letters.iter().map(|(at, offset)| key::record(*at, *offset)).collect();
        self.drop_letters(keys.into_iter().collect())
    }

    /// Drops every dead letter that matches; gives back how many there were. Those that come meanwhile may stay.
    pub fn drop_matching_dead_letters(&self, filter: &LetterFilter) -> Result<u64> {
        let mut keys = Vec::new();
        self.each_letter_head(filter, |at, offset, _| keys.push(key::record(at, offset)))?;
        self.drop_letters(keys)
    }

    fn drop_letters(&self, keys: Vec<Key>) -> Result<u64> {
        let mut dropped = 0;
        for keys in keys.chunks(DROPPED_AT_ONCE) {
            dropped += self.writer.write().unbury(&self.engine, keys)?;
        }
        self.sync()?;
        Ok(dropped)
    }

    /// Notes that bad records of a partition are accepted up to this offset, so that they stop the sink no longer. The
    /// last word counts: a lower offset takes a higher one back.
    pub fn accept_bad_through(&self, at: TopicPartition, offset: i64) -> Result<()> {
        let mut batch = rocksdb::WriteBatch::default();
        let bytes = value::encode(Family::Meta, &offset)?;
        batch.put_cf(self.engine.cf(Family::Meta)?, key::meta_of(ACCEPTED, at), bytes);
        self.engine.write(batch)?;
        self.sync()
    }

    /// Up to which offset bad records of a partition are accepted.
    pub fn accepted_bad_through(&self, at: TopicPartition) -> Result<Option<i64>> {
        let bytes = self.engine.get(Family::Meta, &key::meta_of(ACCEPTED, at))?;
        bytes.map(|bytes| value::decode(Family::Meta, &bytes)).transpose()
    }

    fn each_letter_head(
        &self,
        filter: &LetterFilter,
        mut visit: impl FnMut(TopicPartition, i64, LetterHead),
    ) -> Result<()> {
        self.engine.scan(Family::DeadLetters, &filter.prefix(), |key, bytes| {
            if let Some((at, Some(offset))) = key::split_record(key) {
                let head = value::letter_head(bytes)?;
                if filter.takes(head.reason) {
                    visit(at, offset, head);
                }
            }
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IdKind, Outcome, Record, Refusal};
    use crate::{Config, OpenOptions};

    const NOW: TimestampMs = 1_795_376_817_860;

    fn open(dir: &std::path::Path, dead_letters_max: u64) -> Store {
        let config =
            Config { dir: dir.to_owned(), memory_budget_bytes: 64 << 20, dead_letters_max, ..Config::default() };
        Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
    }

    fn at(topic: Topic, partition: u32) -> TopicPartition {
        TopicPartition { topic, partition }
    }

    fn dead(at: TopicPartition, offset: i64, age_ms: i64, reason: DeadReason) -> Record {
        let refusal = Refusal { reason, detail: format!("record {offset}") };
        let outcome = Outcome::Dead { refusal, key: Some(b"k".to_vec()), value: Some(vec![0xff; 10]) };
        Record { at, offset, time: NOW - age_ms, outcome, raw: None }
    }

    /// Three of events in two partitions, two of likes.
    fn fill(store: &Store) {
        let (zero, one, likes) = (at(Topic::Events, 0), at(Topic::Events, 1), at(Topic::Likes, 0));
        let records = [
            dead(zero, 0, 50, DeadReason::Malformed),
            dead(zero, 1, 10, DeadReason::BadId),
            dead(one, 7, 30, DeadReason::Malformed),
            dead(likes, 3, 20, DeadReason::Malformed),
            dead(likes, 4, 20, DeadReason::UnknownOp),
        ];
        store.apply(&records, NOW).unwrap();
    }

    fn offsets(lines: &[LetterLine]) -> Vec<i64> {
        lines.iter().map(|line| line.place.offset).collect()
    }

    #[test]
    fn dead_letters_are_listed_newest_first_and_page_by_page() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), 100);
        fill(&store);
        let all = store.dead_letters(&LetterFilter::default(), None, 100).unwrap();
        assert_eq!(offsets(&all), [1, 4, 3, 7, 0]);
        assert_eq!((all[0].reason, all[0].detail.as_str(), all[0].value_bytes), (DeadReason::BadId, "record 1", 10));
        let (mut paged, mut below) = (Vec::new(), None);
        loop {
            let page = store.dead_letters(&LetterFilter::default(), below, 2).unwrap();
            let Some(last) = page.last() else { break };
            below = Some(last.place);
            paged.extend(page);
        }
        assert_eq!(paged, all);
        let malformed = LetterFilter { topic: Some(Topic::Events), reason: Some(DeadReason::Malformed) };
        assert_eq!(offsets(&store.dead_letters(&malformed, None, 100).unwrap()), [7, 0]);
        let counts = store.dead_letter_counts().unwrap();
        assert_eq!(counts[&(Topic::Events, DeadReason::Malformed)], 2);
        assert_eq!(counts.values().sum::<u64>(), 5);
    }

    #[test]
    fn dropped_dead_letters_are_gone_and_no_longer_counted_against_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), 5);
        fill(&store);
        let zero = at(Topic::Events, 0);
        assert_eq!(store.drop_dead_letters(&[(zero, 1), (zero, 1), (zero, 99)]).unwrap(), 1);
        assert!(store.dead_letter(zero, 1).unwrap().is_none());
        let likes = LetterFilter { topic: Some(Topic::Likes), reason: None };
        assert_eq!(store.drop_matching_dead_letters(&likes).unwrap(), 2);
        assert_eq!(store.drop_matching_dead_letters(&likes).unwrap(), 0);
        // There is room for three again: none of those that stayed makes way.
        let more: Vec<_> = (10..13).map(|offset| dead(zero, offset, 0, DeadReason::BadValue)).collect();
        store.apply(&more, NOW).unwrap();
        assert_eq!(offsets(&store.dead_letters(&LetterFilter::default(), None, 100).unwrap()), [12, 11, 10, 7, 0]);
        store.apply(&[dead(zero, 13, 0, DeadReason::BadValue)], NOW).unwrap();
        assert_eq!(store.dead_letter_counts().unwrap().values().sum::<u64>(), 5);
    }

    #[test]
    fn up_to_where_bad_records_are_accepted_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (zero, one) = (at(Topic::Events, 0), at(Topic::Events, 1));
        let store = open(dir.path(), 5);
        assert_eq!(store.accepted_bad_through(zero).unwrap(), None);
        store.accept_bad_through(zero, 70).unwrap();
        drop(store);
        let store = open(dir.path(), 5);
        assert_eq!(
            (store.accepted_bad_through(zero).unwrap(), store.accepted_bad_through(one).unwrap()),
            (Some(70), None)
        );
        store.accept_bad_through(zero, 7).unwrap();
        assert_eq!(store.accepted_bad_through(zero).unwrap(), Some(7));
    }
}
