//! Records that cannot be used are dead letters with a reason. They stop nothing and spoil nothing.

use std::collections::BTreeMap;

use edgefeed::clock::now_ms;
use edgefeed::world::{Message, World};
use edgefeed_storage::model::{DeadReason, IdKind, Topic};
use edgefeed_storage::{DeadLetter, Store};
use serde_json::Value;

use crate::compare;
use crate::crash::broker::Kafka;
use crate::crash::check::{Follower, claims};
use crate::crash::dice::Dice;
use crate::crash::node::{Home, Node, TIGHT};
use crate::crash::poison::{self, RECORD_MAX_BYTES};
use crate::crash::{messages, small_world};
use crate::formula::viewers;
use crate::log::{PARTITIONS, topic_name};
use crate::oracle::LogRecord;

const POISONS: usize = 10_000;

/// What was written, and what must become of it.
struct Written {
    kafka: Kafka,
    /// The log as the oracle is to read it.
    readable: Vec<LogRecord>,
    /// The reason each bad record must be given.
    reasons: BTreeMap<(String, u32, i64), DeadReason>,
}

impl Written {
    fn good(&mut self, message: Message) {
        self.kafka.write(message);
        self.readable.extend(self.kafka.log().last().cloned());
    }

    fn bad(&mut self, topic: Topic, value: Vec<u8>, reason: DeadReason, time_ms: i64, dice: &mut Dice) {
        // A key that names no row, so that nothing of the record can be saved by it.
        let key = br#"{"nobody":true}"#.to_vec();
        let partition = dice.below(PARTITIONS as usize) as u32;
        let offset = self.kafka.write_to(partition, Message { topic, key, value: Some(value), time_ms });
        self.reasons.insert((topic_name(topic), partition, offset), reason);
        // How large a record may be is configuration, of which the oracle knows nothing.
        if reason != DeadReason::TooLarge {
            self.readable.extend(self.kafka.log().last().cloned());
        }
    }

    /// A record that only looks bad: its effect is that of `plain`.
    fn odd(&mut self, plain: Message, value: Vec<u8>) {
        let plain_value = plain.value.clone();
        self.kafka.write(Message { value: Some(value), ..plain });
        let record = self.kafka.log().last().cloned();
        self.readable.extend(record.map(|record| LogRecord { value: plain_value, ..record }));
    }

    fn totals(&self) -> BTreeMap<(String, DeadReason), u64> {
        let mut totals = BTreeMap::new();
        for ((topic, _, _), reason) in &self.reasons {
            *totals.entry((topic.clone(), *reason)).or_default() += 1;
        }
        totals
    }
}

#[test]
fn ten_thousand_bad_records_among_good_ones_are_dead_letters_with_their_reason_and_stop_nothing() {
    let mut dice = Dice::of_run();
    let world = World::new(small_world(dice.seed));
    let mut written = Written { kafka: Kafka::start(), readable: Vec::new(), reasons: BTreeMap::new() };
    let settings = format!("record_max_bytes = {RECORD_MAX_BYTES}");
    let home = Home::new(&written.kafka.address(), &settings, TIGHT);
    let node = home.start();
    write(&mut written, &world, &mut dice);
    written.kafka.flush();
    let reached = |ingest: &Value| {
        written.kafka.ends().iter().all(|((topic, partition), end)| {
            let topic = topic.strip_prefix("cdc.").unwrap_or(topic);
            ingest["topics"][topic]["partitions"][partition.to_string()]["next_offset"] == *end
        })
    };
    let ingest = node.wait_until("to have read everything", reached);
    assert_eq!(ingest["state"], "live", "{ingest:#}");
    for (topic, state) in ingest["topics"].as_object().unwrap() {
        assert!(state["stalled"].is_null(), "{topic}: {state:#}");
    }
    counted(&node, &written);
    let (code, log) = node.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let store = compare::open(&home.store(), IdKind::U64);
    kept_whole(&store, &written);
    assert_eq!(&claims(&store), written.kafka.ends());
    let mut follower = Follower::new();
    assert_eq!(follower.fold_to(written.kafka.ends(), &written.readable), written.readable.len());
    let mut judged = written.totals();
    judged.retain(|(_, reason), _| *reason != DeadReason::TooLarge);
    assert_eq!(follower.oracle.dead(), &judged, "the oracle's verdicts");
    follower.compare(&store);
    follower.compare_feeds(&store, viewers(&world, 10));
}

/// Good records in their order, with bad ones of every kind for every topic evenly in between.
fn write(written: &mut Written, world: &World, dice: &mut Dice) {
    let good = messages(world);
    let (count, mut poisons) = (good.len(), 0);
    for (number, message) in good.into_iter().enumerate() {
        let time_ms = message.time_ms;
        while poisons * count < POISONS * (number + 1) && poisons < POISONS {
            let topic = *dice.pick(&Topic::ALL);
            let (reason, value) = poison::any(topic, poisons, time_ms, dice);
            written.bad(topic, value, reason, time_ms, dice);
            poisons += 1;
        }
        written.good(message);
    }
    assert_eq!(poisons, POISONS);
    for topic in Topic::ALL {
        for value in poison::monsters(topic) {
            written.bad(topic, value, DeadReason::Malformed, now_ms(), dice);
        }
        written.bad(topic, poison::too_large(topic), DeadReason::TooLarge, now_ms(), dice);
        let (plain, odd) = poison::odd(topic, now_ms());
        written.odd(plain, odd);
    }
}

/// Every dead letter is in the metrics, by topic and reason, and nothing else is.
fn counted(node: &Node, written: &Written) {
    let samples = node.metric("edgefeed_dead_letters_total");
    let expected = written.totals();
    for ((topic, reason), count) in &expected {
        let topic = topic.strip_prefix("cdc.").unwrap_or(topic);
        let labels = [format!("topic=\"{topic}\""), format!("reason=\"{}\"", reason.name())];
        let of_both = samples.iter().filter(|(text, _)| labels.iter().all(|label| text.contains(label)));
        let found: f64 = of_both.map(|(_, count)| count).sum();
        assert_eq!(found, *count as f64, "{labels:?} of {samples:?}");
    }
    let all: f64 = samples.iter().map(|(_, count)| count).sum();
    assert_eq!(all, expected.values().sum::<u64>() as f64, "{samples:?}");
}

/// Each bad record, and no other, is kept with its reason, its time and its bytes.
fn kept_whole(store: &Store, written: &Written) {
    let mut letters: BTreeMap<(String, u32, i64), DeadLetter> = BTreeMap::new();
    store
        .each_dead_letter(|at, offset, letter| {
            letters.insert((topic_name(at.topic), at.partition, offset), letter);
        })
        .unwrap();
    for record in written.kafka.log() {
        let place = (record.topic.clone(), record.partition, record.offset);
        let text = || {
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).chars().take(300).collect::<String>()
        };
        match (letters.remove(&place), written.reasons.get(&place)) {
            (None, None) => {}
            (Some(letter), Some(reason)) => {
                assert_eq!(letter.reason, *reason, "{place:?}, {}: {}", letter.detail, text());
                assert!(!letter.detail.is_empty() && letter.detail.len() < 1_000, "{}", letter.detail);
                assert_eq!(letter.time, record.time_ms, "{place:?}");
                assert_eq!(letter.key, record.key, "{place:?}, {reason:?}: the key");
                assert!(letter.value == record.value, "{place:?} was not kept as it came: {}", text());
            }
            (Some(letter), None) => panic!("{place:?} is good, and a dead letter: {}: {}", letter.detail, text()),
            (None, Some(reason)) => panic!("{place:?} is {reason:?}, and no dead letter: {}", text()),
        }
    }
    assert!(letters.is_empty(), "nobody wrote {letters:?}");
}
