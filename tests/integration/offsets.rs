//! Offsets live in the store. Kafka is told nothing and believed nothing; a log that does not go on where the store
//! stands is a gap, said aloud and never stepped over.

use edgefeed::clock::now_ms;
use edgefeed::world::{Message, World};
use edgefeed_storage::model::{IdKind, Topic};
use serde_json::{Value, json};

use crate::compare;
use crate::crash::broker::Kafka;
use crate::crash::check::{Follower, Offsets, claims};
use crate::crash::dice::Dice;
use crate::crash::group::{commit, committed};
use crate::crash::node::{Home, Node, TIGHT};
use crate::crash::{messages, small_world};
use crate::formula::viewers;
use crate::log::topic_name;
use crate::oracle::LogRecord;

/// The consumer group the node names to its library, after its `kafka.client_id`.
const GROUP: &str = "edgefeed-materializer";

/// A world whose history is written bit by bit, and a node's home.
struct Stage {
    world: World,
    later: std::vec::IntoIter<Message>,
    kafka: Kafka,
    home: Home,
}

impl Stage {
    fn new(dice: &Dice) -> Self {
        let world = World::new(small_world(dice.seed));
        let kafka = Kafka::start();
        let home = Home::new(&kafka.address(), "", TIGHT);
        Self { later: messages(&world).into_iter(), world, kafka, home }
    }

    /// Writes the next part of the history; returns how many records.
    fn write(&mut self, most: usize) -> u64 {
        let before = self.kafka.log().len();
        self.later.by_ref().take(most).for_each(|message| self.kafka.write(message));
        self.kafka.flush();
        (self.kafka.log().len() - before) as u64
    }

    /// A node that reads everything there is and is told to stop.
    fn follow(&self) {
        let node = self.home.start();
        node.wait_caught_up();
        stop(node);
    }

    /// The store stands at `offsets`, and is what the log says up to there.
    fn holds(&self, offsets: &Offsets, log: &[LogRecord]) {
        let store = compare::open(&self.home.store(), IdKind::U64);
        assert_eq!(&claims(&store), offsets);
        let mut follower = Follower::new();
        follower.fold_to(offsets, log);
        follower.compare(&store);
        follower.compare_feeds(&store, viewers(&self.world, 10));
    }
}

fn stop(node: Node) {
    let (code, log) = node.terminate();
    assert_eq!(code, Some(0), "{log}");
}

/// How many records a node has been handed since its start, and how many of them it had applied before.
fn read_since_start(node: &Node) -> (u64, u64) {
    let sum = |name: &str, label: &str| -> u64 {
        node.metric(name).iter().filter(|(labels, _)| labels.contains(label)).map(|(_, count)| *count as u64).sum()
    };
    let of = |outcome: &str| sum("edgefeed_ingest_records_total", &format!("outcome=\"{outcome}\""));
    // An event that repeats another is counted apart.
    let repeats = sum("edgefeed_dedup_hits_total", "");
    let replayed = of("replayed");
    (of("applied") + of("stale") + of("nothing") + of("dead") + repeats + replayed, replayed)
}

#[test]
fn a_restart_reads_on_where_the_store_stands_and_nothing_twice() {
    let dice = Dice::of_run();
    let mut stage = Stage::new(&dice);
    for killed in [false, true, false] {
        let written = stage.write(3_000);
        let node = stage.home.start();
        node.wait_caught_up();
        assert_eq!(read_since_start(&node), (written, 0), "records read, of them read before");
        if killed {
            node.kill();
        } else {
            stop(node);
        }
    }
    stage.holds(stage.kafka.ends(), stage.kafka.log());
}

#[test]
fn what_kafka_believes_of_the_group_is_neither_made_nor_read() {
    let dice = Dice::of_run();
    let mut stage = Stage::new(&dice);
    stage.write(4_000);
    stage.follow();
    let address = stage.kafka.address();
    let ends = stage.kafka.ends().clone();
    for (topic, partition) in ends.keys() {
        assert_eq!(committed(&address, GROUP, topic, *partition), None, "{topic} {partition}: the node has committed");
    }
    // By turns everything anew and nothing ever.
    for (number, ((topic, partition), end)) in ends.iter().enumerate() {
        let lie = if number % 2 == 0 { 0 } else { end + 1_000_000 };
        commit(&address, GROUP, topic, *partition, lie);
        assert_eq!(committed(&address, GROUP, topic, *partition), Some(lie));
    }
    let written = stage.write(4_000);
    let node = stage.home.start();
    node.wait_caught_up();
    assert_eq!(read_since_start(&node), (written, 0), "records read, of them read before");
    stop(node);
    for (number, ((topic, partition), end)) in ends.iter().enumerate() {
        let lie = if number % 2 == 0 { 0 } else { end + 1_000_000 };
        assert_eq!(committed(&address, GROUP, topic, *partition), Some(lie), "the node has committed");
    }
    stage.holds(stage.kafka.ends(), stage.kafka.log());
}

/// The state of a partition in `/status`.
fn partition<'a>(ingest: &'a Value, place: &(String, u32)) -> &'a Value {
    let (topic, partition) = place;
    &ingest["topics"][topic.strip_prefix("cdc.").unwrap_or(topic)]["partitions"][partition.to_string()]
}

fn gaps_counted(node: &Node) -> f64 {
    node.metric("edgefeed_offsets_gap_total").iter().map(|(_, count)| count).sum()
}

#[test]
fn records_dropped_before_they_were_read_are_a_gap_and_the_other_partitions_go_on() {
    let dice = Dice::of_run();
    let mut stage = Stage::new(&dice);
    stage.write(6_000);
    stage.follow();
    let place = ("events".to_owned(), 2);
    let stored = stage.kafka.ends()[&place];
    assert!(stored > 0);
    fill_up(&mut stage.kafka, place.1);
    stage.write(2_000);
    let mut expected = stage.kafka.ends().clone();
    expected.insert(place.clone(), stored);
    // A gap does not heal by starting anew.
    for _ in 0..2 {
        let node = stage.home.start();
        let ingest = node.wait_caught_up();
        let state = partition(&ingest, &place);
        assert_eq!((&state["state"], &state["next_offset"]), (&json!("gap"), &json!(stored)), "{state:#}");
        assert_eq!(
            (&state["gap"]["reason"], &state["gap"]["stored_offset"]),
            (&json!("below_log_start"), &json!(stored))
        );
        assert!(state["gap"]["log_start"].as_i64().unwrap() > stored, "{state:#}");
        assert_eq!(gaps_counted(&node), 1.0);
        // While it runs, too, everything but this partition moves.
        stage.write(1_000);
        expected.clone_from(stage.kafka.ends());
        expected.insert(place.clone(), stored);
        let at = |ingest: &Value, place: &(String, u32)| partition(ingest, place)["next_offset"].as_i64();
        node.wait_until("to go on elsewhere", |ingest| {
            expected.iter().all(|(place, next)| at(ingest, place) == Some(*next))
        });
        stop(node);
    }
    stage.holds(&expected, stage.kafka.log());
}

/// Writes good events to a partition until the broker, which keeps 5 MiB of each, has dropped all that was there.
fn fill_up(kafka: &mut Kafka, partition: u32) {
    let padding = "x".repeat(10_000);
    for number in 0..800 {
        let event = json!({
            "event_id": format!("00000000-0000-4000-9000-{number:012x}"), "event_time": now_ms(),
            "user_id": 1, "post_id": 2, "action": "view", "padding": padding,
        });
        let value = Some(event.to_string().into_bytes());
        kafka.write_to(partition, Message { topic: Topic::Events, key: b"1".to_vec(), value, time_ms: now_ms() });
        if number % 50 == 0 {
            // The broker drops whole batches: small ones, so that it drops in time.
            kafka.flush();
        }
    }
    kafka.flush();
}

#[test]
fn topics_made_anew_are_gaps_and_nothing_of_them_is_applied() {
    let dice = Dice::of_run();
    let mut stage = Stage::new(&dice);
    // Likes are new to the store when the new topics come.
    stage.later =
        messages(&stage.world).into_iter().filter(|it| it.topic != Topic::Likes).collect::<Vec<_>>().into_iter();
    stage.write(8_000);
    stage.follow();
    let stored = stage.kafka.ends().clone();
    let mut log = stage.kafka.log().to_vec();
    // The same names, another world's records, of events fewer than there were.
    let other = World::new(small_world(dice.seed + 1));
    let mut kafka = Kafka::start();
    let mut events = 0;
    for message in messages(&other) {
        events += usize::from(message.topic == Topic::Events);
        if message.topic != Topic::Events || events < 100 {
            kafka.write(message);
        }
    }
    kafka.flush();
    let longer = |place: &(String, u32)| kafka.ends().get(place).is_some_and(|end| *end >= stored[place]);
    assert!(stored.keys().any(longer) && !stored.keys().all(longer), "both kinds");
    stage.home.configure(&kafka.address(), "", TIGHT);
    let node = stage.home.start();
    let ingest = node.wait_caught_up();
    for (place, next) in &stored {
        let state = partition(&ingest, place);
        let reason = if longer(place) { "another_record" } else { "beyond_log_end" };
        assert_eq!((&state["state"], &state["next_offset"]), (&json!("gap"), &json!(next)), "{place:?} {state:#}");
        assert_eq!(state["gap"]["reason"], reason, "{place:?} {state:#}");
    }
    assert_eq!(gaps_counted(&node), stored.len() as f64);
    stop(node);
    // What the store never knew is no stranger: likes are followed.
    let likes = topic_name(Topic::Likes);
    log.extend(kafka.log().iter().filter(|record| record.topic == likes).cloned());
    let mut expected = stored;
    expected.extend(
        kafka.ends().iter().filter(|((topic, _), _)| *topic == likes).map(|(place, end)| (place.clone(), *end)),
    );
    stage.holds(&expected, &log);
}
