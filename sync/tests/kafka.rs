//! Following Kafka into the store, against a broker that speaks the real protocol.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use edgefeed_storage::model::{IdKind, Topic, TopicPartition};
use edgefeed_storage::{OpenOptions, Store};
use edgefeed_sync::{Clock, Config, EmbeddedBroker, Error, GapReason, Lag, Materializer, Producer};
use tempfile::TempDir;

/// Long enough for a slow machine; nothing waits for it to pass where all is well.
const PATIENCE: Duration = Duration::from_secs(30);
const REQUIRED: [&str; 5] = ["events", "cdc.posts", "cdc.follows", "cdc.comments", "cdc.likes"];

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn clock() -> Clock {
    Arc::new(now_ms)
}

fn events(partition: u32) -> TopicPartition {
    TopicPartition { topic: Topic::Events, partition }
}

/// A broker and the directory of a node's store.
struct World {
    broker: EmbeddedBroker,
    dir: TempDir,
}

impl World {
    fn new(partitions: i32) -> Self {
        Self { broker: EmbeddedBroker::start(&REQUIRED, partitions).unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn producer(&self) -> Producer {
        Producer::connect(&self.broker.address().unwrap()).unwrap()
    }

    fn config(&self) -> Config {
        Config {
            brokers: self.broker.address().unwrap(),
            watermark_poll_ms: 50,
            metadata_refresh_ms: 200,
            request_timeout_ms: 1_000,
            ..Config::default()
        }
    }

    fn open(&self) -> Arc<Store> {
        let config = edgefeed_storage::Config {
            dir: self.dir.path().to_owned(),
            memory_budget_bytes: 64 << 20,
            ..edgefeed_storage::Config::default()
        };
        Arc::new(Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap())
    }

    fn start(&self, store: &Arc<Store>) -> Materializer {
        Materializer::start(&self.config(), Arc::clone(store), clock()).unwrap()
    }

    /// Follows until everything is applied, and stops.
    fn follow(&self, store: &Arc<Store>) -> Arc<Lag> {
        let node = self.start(store);
        let lag = node.lag();
        assert!(lag.wait_caught_up(PATIENCE), "{:#}", lag.snapshot(now_ms()));
        node.stop(PATIENCE).unwrap();
        lag
    }
}

fn event(id: u64, post: u64) -> String {
    format!(
        r#"{{"event_id":"00000000-0000-4000-8000-{id:012x}","event_time":{},"user_id":7,"post_id":{post},"action":"view"}}"#,
        now_ms()
    )
}

/// Sends views with ids `ids`, all of post 1, to one partition.
fn send_views(producer: &Producer, partition: u32, ids: std::ops::Range<u64>) {
    let partition = i32::try_from(partition).unwrap();
    for id in ids {
        producer.send("events", Some(partition), b"7", Some(event(id, 1).as_bytes()), None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn views(store: &Store) -> u64 {
    let mut views = 0;
    store.each_post_hour(|_, _, counters| views += u64::from(counters.views)).unwrap();
    views
}

fn dead_letters(store: &Store) -> u64 {
    let mut letters = 0;
    store.each_dead_letter(|_, _, _| letters += 1).unwrap();
    letters
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_restart_goes_on_where_the_store_stands() {
    let world = World::new(2);
    let producer = world.producer();
    send_views(&producer, 0, 0..300);
    send_views(&producer, 1, 300..400);
    let store = world.open();
    world.follow(&store);
    assert_eq!(views(&store), 400);
    send_views(&producer, 0, 400..450);
    let lag = world.follow(&store);
    assert_eq!(views(&store), 450);
    assert_eq!(lag.gaps(), []);
    let next = store.positions().unwrap()[&events(0)].next_offset;
    assert_eq!((next, lag.applied_to(events(0))), (350, Some(350)));
    drop(store);
    // The positions are on disk, not only in memory.
    let store = world.open();
    world.follow(&store);
    assert_eq!(views(&store), 450);
}

#[test]
fn an_event_sent_twice_counts_once() {
    let world = World::new(1);
    let producer = world.producer();
    send_views(&producer, 0, 0..50);
    send_views(&producer, 0, 0..50);
    let store = world.open();
    world.follow(&store);
    send_views(&producer, 0, 0..50);
    world.follow(&store);
    assert_eq!(views(&store), 50);
    assert_eq!(store.positions().unwrap()[&events(0)].next_offset, 150);
}

#[test]
fn a_running_node_applies_new_records_at_once_and_knows_how_fresh_it_is() {
    let world = World::new(1);
    let store = world.open();
    let node = world.start(&store);
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE));
    let producer = world.producer();
    for round in 0..20 {
        send_views(&producer, 0, round..round + 1);
        assert!(lag.wait_applied(events(0), i64::try_from(round).unwrap() + 1, PATIENCE));
    }
    assert_eq!(views(&store), 20);
    let before = now_ms();
    wait_for("fresh contact", || lag.applied_through(now_ms()).is_some_and(|through| through >= before));
    assert_eq!(lag.snapshot(now_ms())["state"], "live");
    node.stop(PATIENCE).unwrap();
}

#[test]
fn a_stored_offset_beyond_the_log_is_a_gap_and_the_others_go_on() {
    let world = World::new(2);
    send_views(&world.producer(), 0, 0..100);
    let store = world.open();
    world.follow(&store);
    // The same names on a broker that knows nothing of the first hundred.
    let world = World { broker: EmbeddedBroker::start(&REQUIRED, 2).unwrap(), ..world };
    send_views(&world.producer(), 0, 100..130);
    send_views(&world.producer(), 1, 200..260);
    let lag = world.follow(&store);
    let gaps = lag.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].0, gaps[0].1.reason), (events(0), GapReason::BeyondLogEnd));
    assert_eq!((gaps[0].1.stored_offset, gaps[0].1.log_start, gaps[0].1.log_end), (100, 0, 30));
    assert_eq!(views(&store), 160);
    assert_eq!(store.positions().unwrap()[&events(0)].next_offset, 100);
}

#[test]
fn a_topic_made_anew_is_recognised_by_its_record() {
    let world = World::new(1);
    send_views(&world.producer(), 0, 0..10);
    let store = world.open();
    world.follow(&store);
    let world = World { broker: EmbeddedBroker::start(&REQUIRED, 1).unwrap(), ..world };
    let producer = world.producer();
    for id in 100..120 {
        // An hour off, so that no clock tick can make both topics' records alike.
        let time = Some(now_ms() - 3_600_000);
        producer.send("events", Some(0), b"7", Some(event(id, 1).as_bytes()), time).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let node = world.start(&store);
    let lag = node.lag();
    wait_for("the gap", || !lag.gaps().is_empty());
    assert_eq!(lag.gaps()[0].1.reason, GapReason::AnotherRecord);
    assert!(lag.wait_caught_up(PATIENCE), "a gap holds the rest up");
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 10);
    assert_eq!(store.positions().unwrap()[&events(0)].next_offset, 10);
}

/// Sends records until the broker, which keeps about 5 MB a partition, has dropped `offset`.
fn push_out(producer: &Producer, partition: i32) {
    let padding = "x".repeat(100_000);
    for _ in 0..120 {
        producer.send("events", Some(partition), b"7", Some(padding.as_bytes()), None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn records_that_kafka_dropped_unread_are_a_gap() {
    let world = World::new(1);
    let producer = world.producer();
    send_views(&producer, 0, 0..10);
    let store = world.open();
    world.follow(&store);
    push_out(&producer, 0);
    let lag = world.follow(&store);
    let gaps = lag.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].1.reason, gaps[0].1.stored_offset), (GapReason::BelowLogStart, 10));
    assert!(gaps[0].1.log_start > 10);
    assert_eq!(dead_letters(&store), 0);
}

#[test]
fn a_place_lost_while_reading_is_a_gap_and_the_others_go_on() {
    let world = World::new(2);
    let producer = world.producer();
    let store = world.open();
    // The reader looks at the clock for each record: a clock that stands still holds it up.
    let frozen = Arc::new(AtomicBool::new(false));
    let clock: Clock = Arc::new({
        let frozen = Arc::clone(&frozen);
        move || {
            while frozen.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            now_ms()
        }
    });
    let config = Config { prefetch_records: 1, prefetch_kib: 1_024, ..world.config() };
    let node = Materializer::start(&config, Arc::clone(&store), clock).unwrap();
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE));
    send_views(&producer, 0, 0..10);
    assert!(lag.wait_applied(events(0), 10, PATIENCE));
    frozen.store(true, Ordering::Relaxed);
    push_out(&producer, 0);
    frozen.store(false, Ordering::Relaxed);
    wait_for("the gap", || !lag.gaps().is_empty());
    let gap = lag.gaps()[0];
    assert_eq!((gap.0, gap.1.reason), (events(0), GapReason::BelowLogStart));
    assert!(gap.1.stored_offset >= 10 && gap.1.stored_offset < gap.1.log_start, "{gap:?}");
    send_views(&producer, 1, 100..150);
    assert!(lag.wait_applied(events(1), 50, PATIENCE), "{:#}", lag.snapshot(now_ms()));
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 60);
}

#[test]
fn ten_thousand_bad_records_are_dead_letters_and_stop_nothing() {
    let world = World::new(1);
    let producer = world.producer();
    for number in 0..10_000_u32 {
        let value: &[u8] = match number % 4 {
            0 => b"{",
            1 => b"\xff\xfe",
            2 => b"{\"user_id\":\"x\"}",
            _ => b"[]",
        };
        producer.send("events", Some(0), b"k", Some(value), None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    send_views(&producer, 0, 0..5);
    let store = world.open();
    world.follow(&store);
    assert_eq!((dead_letters(&store), views(&store)), (10_000, 5));
}

#[test]
fn a_missing_topic_is_waited_for_and_picked_up_when_it_appears() {
    let world = World { broker: EmbeddedBroker::start(&REQUIRED[1..], 1).unwrap(), dir: tempfile::tempdir().unwrap() };
    let store = world.open();
    let node = world.start(&store);
    let lag = node.lag();
    wait_for("the missing topic", || lag.missing_topics() == ["events"]);
    assert!(!lag.caught_up());
    assert_eq!(lag.snapshot(now_ms())["topics"]["events"]["presence"], "missing");
    world.broker.create_topic("events", 3).unwrap();
    let producer = world.producer();
    for partition in 0..3 {
        let first = u64::from(partition) * 10;
        send_views(&producer, partition, first..first + 10);
    }
    for partition in 0..3 {
        assert!(lag.wait_applied(events(partition), 10, PATIENCE), "{:#}", lag.snapshot(now_ms()));
    }
    assert!(lag.wait_caught_up(PATIENCE));
    assert_eq!(lag.missing_topics(), Vec::<String>::new());
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 30);
}

#[test]
fn without_a_broker_a_node_starts_grows_old_and_recovers() {
    let world = World::new(1);
    let producer = world.producer();
    send_views(&producer, 0, 0..10);
    let store = world.open();
    world.follow(&store);
    world.broker.down().unwrap();
    let node = world.start(&store);
    let lag = node.lag();
    wait_for("the missing contact", || !lag.snapshot(now_ms())["contact_error"].is_null());
    assert_eq!(lag.applied_to(events(0)), Some(10));
    assert!(!lag.caught_up());
    let then = now_ms();
    assert!(lag.staleness_ms(then + 60_000).unwrap() >= 60_000);
    world.broker.up().unwrap();
    send_views(&producer, 0, 10..20);
    assert!(lag.wait_applied(events(0), 20, PATIENCE), "{:#}", lag.snapshot(now_ms()));
    assert!(lag.wait_caught_up(PATIENCE));
    world.broker.down().unwrap();
    let begun = Instant::now();
    node.stop(PATIENCE).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "stopping took {:?}", begun.elapsed());
}

#[test]
fn a_truncate_stops_its_topic_alone_and_is_still_there_next_time() {
    let world = World::new(1);
    let producer = world.producer();
    let post = |lsn: u32| {
        format!(
            r#"{{"op":"c","after":{{"id":{lsn},"user_id":7,"created_at":"2026-11-22T18:43:41Z"}},"source":{{"table":"posts","lsn":{lsn},"ts_ms":{}}}}}"#,
            now_ms()
        )
    };
    let send = |value: &str| producer.send("cdc.posts", Some(0), b"k", Some(value.as_bytes()), None).unwrap();
    send(&post(1));
    send(&format!(r#"{{"op":"t","source":{{"table":"posts","lsn":2,"ts_ms":{}}}}}"#, now_ms()));
    send(&post(3));
    producer.flush(PATIENCE).unwrap();
    for round in 0..2 {
        let store = world.open();
        let node = world.start(&store);
        let lag = node.lag();
        wait_for("the stall", || !lag.stalls().is_empty());
        assert_eq!(lag.stalls()[0].offset, 1, "round {round}");
        assert!(lag.wait_caught_up(PATIENCE));
        send_views(&producer, 0, round * 10..round * 10 + 10);
        assert!(lag.wait_applied(events(0), i64::try_from(round * 10 + 10).unwrap(), PATIENCE));
        let posts = TopicPartition { topic: Topic::Posts, partition: 0 };
        assert_eq!(lag.applied_to(posts), Some(1));
        node.stop(PATIENCE).unwrap();
    }
}

#[test]
fn a_full_log_is_read_in_order_with_a_tiny_queue() {
    let world = World::new(3);
    let producer = world.producer();
    for partition in 0..3 {
        let first = u64::from(partition) * 10_000;
        send_views(&producer, partition, first..first + 3_000);
    }
    let store = world.open();
    let config = Config { queue_records: 64, batch_records: 7, prefetch_records: 10, ..world.config() };
    let node = Materializer::start(&config, Arc::clone(&store), clock()).unwrap();
    assert!(node.lag().wait_caught_up(PATIENCE));
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 9_000);
}

#[test]
fn keys_land_where_javas_clients_put_them() {
    let world = World::new(4);
    let (told, fates) = std::sync::mpsc::channel();
    let producer = world.producer();
    // Of Kafka's own tests: murmur2("21") = -973932308, murmur2("foobar") = -790332482.
    for (key, hash) in [("21", -973_932_308_i32), ("foobar", -790_332_482)] {
        let told = told.clone();
        producer.send_then("events", key.as_bytes(), Some(b"{}"), move |fate| told.send(fate).unwrap_or(())).unwrap();
        producer.flush(PATIENCE).unwrap();
        let delivered = fates.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(delivered.partition, (hash & i32::MAX).unsigned_abs() % 4, "{key}");
    }
}

#[test]
fn a_record_that_cannot_be_delivered_is_told() {
    let world = World::new(1);
    let producer = world.producer();
    // A partition the topic does not have.
    producer.send("events", Some(9), b"k", Some(b"{}"), None).unwrap();
    match producer.flush(PATIENCE) {
        Err(Error::NotDelivered { lost: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn settings_the_library_refuses_are_errors_at_once() {
    let world = World::new(1);
    let mut config = world.config();
    config.security.ca_file = Some("/nowhere/ca.pem".to_owned());
    config.security.protocol = edgefeed_sync::config::Protocol::Ssl;
    let refused = Materializer::start(&config, world.open(), clock());
    assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");
}

#[test]
fn an_idle_node_that_restarts_without_kafka_counts_its_age_from_the_last_contact() {
    let world = World::new(2);
    let long_ago = now_ms() - 3_600_000;
    let producer = world.producer();
    // One partition with a record of an hour ago; all others have none.
    producer.send("events", Some(0), b"7", Some(event(1, 1).as_bytes()), Some(long_ago)).unwrap();
    producer.flush(PATIENCE).unwrap();
    let store = world.open();
    let before = now_ms();
    let node = world.start(&store);
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE));
    wait_for("fresh contact", || lag.applied_through(now_ms()).is_some_and(|through| through >= before));
    node.stop(PATIENCE).unwrap();
    drop(store);

    let World { broker, dir } = world;
    let brokers = broker.address().unwrap();
    drop(broker);
    let config = Config { brokers, request_timeout_ms: 200, watermark_poll_ms: 50, ..Config::default() };
    let options = OpenOptions { ids: IdKind::U64, apply_truncates: false };
    let storage = edgefeed_storage::Config { dir: dir.path().to_owned(), ..edgefeed_storage::Config::default() };
    let store = Arc::new(Store::open(&storage, options).unwrap());
    let node = Materializer::start(&config, Arc::clone(&store), clock()).unwrap();
    let lag = node.lag();
    wait_for("Kafka to be missed", || !lag.snapshot(now_ms())["contact_error"].is_null());
    let through = lag.applied_through(now_ms()).unwrap();
    assert!((before..=now_ms()).contains(&through), "{}", lag.snapshot(now_ms()));
    assert!(lag.holds_anything() && !lag.caught_up());
    node.stop(PATIENCE).unwrap();
    assert_eq!(store.last_contact().unwrap().unwrap().through, through, "an outage moves nothing");
}
