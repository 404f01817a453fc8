//! What only a real broker has: transactions and their markers, retention, added partitions, topics made anew.
//!
//! Needs a Kafka: `tests/stack/stack up DIR kafka`, then EDGEFEED_TEST_KAFKA=host:port and `cargo test -- --ignored`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use edgefeed_storage::model::{IdKind, Topic, TopicPartition};
use edgefeed_storage::{OpenOptions, Store};
use edgefeed_sync::{Clock, Config, GapReason, Materializer, Producer};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn events(partition: u32) -> TopicPartition {
    TopicPartition { topic: Topic::Events, partition }
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Topics of one test on the real broker, and the directory of a node's store.
struct World {
    brokers: String,
    prefix: String,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio_free::Block,
    dir: TempDir,
}

/// The admin client speaks in futures; a test can wait for one without a runtime.
mod tokio_free {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::Thread;

    pub(super) struct Block;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    impl Block {
        pub(super) fn on<T>(&self, future: impl Future<Output = T>) -> T {
            let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
            let mut future = pin!(future);
            loop {
                match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(value) => return value,
                    Poll::Pending => std::thread::park(),
                }
            }
        }
    }
}

impl World {
    fn new(name: &str, partitions: i32) -> Self {
        let brokers = std::env::var("EDGEFEED_TEST_KAFKA").unwrap_or_else(|_| panic!("needs EDGEFEED_TEST_KAFKA"));
        let admin = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let prefix = format!("{name}-{}-{}", now_ms(), std::process::id());
        let world = Self { brokers, prefix, admin, runtime: tokio_free::Block, dir: tempfile::tempdir().unwrap() };
        for topic in ["posts", "follows", "comments", "likes"] {
            world.create(topic, 1);
        }
        world.create("events", partitions);
        world
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn create(&self, name: &str, partitions: i32) {
        let topic = self.topic(name);
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let made = self.runtime.on(self.admin.create_topics([&new], &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    fn config(&self) -> Config {
        let topics = edgefeed_sync::config::Topics {
            events: self.topic("events"),
            posts: self.topic("posts"),
            follows: self.topic("follows"),
            comments: self.topic("comments"),
            likes: self.topic("likes"),
            ..Default::default()
        };
        Config {
            brokers: self.brokers.clone(),
            topics,
            watermark_poll_ms: 50,
            metadata_refresh_ms: 300,
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
        let clock: Clock = Arc::new(now_ms);
        Materializer::start(&self.config(), Arc::clone(store), clock).unwrap()
    }

    fn send_views(&self, partition: i32, ids: std::ops::Range<u64>) {
        let producer = Producer::connect(&self.brokers).unwrap();
        for id in ids {
            producer.send(&self.topic("events"), Some(partition), b"7", Some(event(id).as_bytes()), None).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn transactional(&self) -> BaseProducer {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("transactional.id", &self.prefix)
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer
    }

    fn send_in(&self, producer: &BaseProducer, ids: std::ops::Range<u64>, commit: bool) {
        producer.begin_transaction().unwrap();
        let topic = self.topic("events");
        for id in ids {
            let value = event(id);
            producer.send(BaseRecord::to(&topic).partition(0).key("7").payload(&value)).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
}

fn event(id: u64) -> String {
    format!(
        r#"{{"event_id":"00000000-0000-4000-8000-{id:012x}","event_time":{},"user_id":7,"post_id":1,"action":"view"}}"#,
        now_ms()
    )
}

fn views(store: &Store) -> u64 {
    let mut views = 0;
    store.each_post_hour(|_, _, counters| views += u64::from(counters.views)).unwrap();
    views
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn a_log_that_ends_in_transaction_markers_is_read_to_its_end() {
    let world = World::new("markers", 1);
    let producer = world.transactional();
    world.send_in(&producer, 0..5, true);
    world.send_in(&producer, 5..9, false);
    world.send_in(&producer, 9..12, true);
    world.send_in(&producer, 12..14, false);
    // 5 + marker, 4 + marker, 3 + marker, 2 + marker.
    let end = 18;
    let store = world.open();
    let node = world.start(&store);
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE), "{:#}", lag.snapshot(now_ms()));
    assert_eq!(lag.applied_to(events(0)), Some(end));
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 8);
    assert_eq!(store.positions().unwrap()[&events(0)].next_offset, end);
    // And goes on from there, the last record being far behind the end.
    world.send_in(&producer, 20..25, true);
    let node = world.start(&store);
    assert!(node.lag().wait_applied(events(0), end + 5, PATIENCE));
    assert_eq!(node.lag().gaps(), []);
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 13);
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn an_open_transaction_holds_the_end_back_and_is_no_lag() {
    let world = World::new("open", 1);
    world.send_views(0, 100..110);
    let producer = world.transactional();
    producer.begin_transaction().unwrap();
    let topic = world.topic("events");
    producer.send(BaseRecord::to(&topic).partition(0).key("7").payload(&event(1))).unwrap();
    producer.flush(PATIENCE).unwrap();
    let store = world.open();
    let node = world.start(&store);
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE), "{:#}", lag.snapshot(now_ms()));
    assert_eq!(lag.applied_to(events(0)), Some(10));
    producer.commit_transaction(PATIENCE).unwrap();
    assert!(lag.wait_applied(events(0), 11, PATIENCE));
    node.stop(PATIENCE).unwrap();
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn a_partition_added_while_running_is_followed_from_its_start() {
    let world = World::new("added", 1);
    world.send_views(0, 0..10);
    let store = world.open();
    let node = world.start(&store);
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE));
    let topic = world.topic("events");
    let more = NewPartitions::new(&topic, 3);
    world.runtime.on(world.admin.create_partitions([&more], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    world.send_views(2, 10..30);
    assert!(lag.wait_applied(events(2), 20, PATIENCE), "{:#}", lag.snapshot(now_ms()));
    world.send_views(0, 30..35);
    assert!(lag.wait_applied(events(0), 15, PATIENCE));
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 35);
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn records_deleted_up_to_the_stored_offset_are_no_gap_and_beyond_it_are() {
    let world = World::new("retention", 2);
    world.send_views(0, 0..10);
    world.send_views(1, 10..20);
    let store = world.open();
    let node = world.start(&store);
    assert!(node.lag().wait_caught_up(PATIENCE));
    node.stop(PATIENCE).unwrap();
    world.send_views(0, 20..30);
    world.send_views(1, 30..40);
    let mut delete = TopicPartitionList::new();
    for (partition, before) in [(0, 10), (1, 11)] {
        delete.add_partition_offset(&world.topic("events"), partition, Offset::Offset(before)).unwrap();
    }
    drop(world.runtime.on(world.admin.delete_records(&delete, &AdminOptions::new())).unwrap());
    let node = world.start(&store);
    let lag = node.lag();
    assert!(lag.wait_caught_up(PATIENCE), "{:#}", lag.snapshot(now_ms()));
    let gaps = lag.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].0, gaps[0].1.reason, gaps[0].1.log_start), (events(1), GapReason::BelowLogStart, 11));
    node.stop(PATIENCE).unwrap();
    assert_eq!(views(&store), 30);
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn a_topic_made_anew_while_running_is_a_gap_however_long_it_has_become() {
    for (records, reason) in [(10, GapReason::BeyondLogEnd), (90, GapReason::AnotherRecord)] {
        let world = World::new("anew", 1);
        world.send_views(0, 0..50);
        let store = world.open();
        let node = world.start(&store);
        let lag = node.lag();
        assert!(lag.wait_caught_up(PATIENCE));
        let topic = world.topic("events");
        world.runtime.on(world.admin.delete_topics(&[&topic], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
        wait_for("the missing topic", || lag.missing_topics() == [topic.clone()]);
        world.create("events", 1);
        world.send_views(0, 100..100 + records);
        wait_for("the gap", || !lag.gaps().is_empty());
        assert_eq!(lag.gaps()[0].1.reason, reason, "{:#}", lag.snapshot(now_ms()));
        node.stop(PATIENCE).unwrap();
        assert_eq!(views(&store), 50);
    }
}
