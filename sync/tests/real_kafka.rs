//! What only a real broker has: transactions and their markers, retention, added partitions, topics made anew.
//!
//! Needs a Kafka: `tests/stack/stack up DIR kafka`, then EDGEFEED_TEST_KAFKA=host:port and `cargo test -- --ignored`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use edgefeed_storage::model::{DeadReason, IdKind, Topic, TopicPartition};
use edgefeed_storage::{OpenOptions, Store};
use edgefeed_sync::center::Latest;
use edgefeed_sync::dead_letters::{Account, Action, DeadLetterTopic, Letter, Order, carry_out};
use edgefeed_sync::sink::{self, From, Resume, ResumeError, resume_offline, status_offline};
use edgefeed_sync::{Clock, Config, Error, GapReason, Materializer, Producer};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
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

/// Writes dead letters of a topic with these values; their fates.
fn write_letters(topic: &DeadLetterTopic, source: &str, values: &[&[u8]]) -> Vec<Result<(), String>> {
    let (tell, told) = channel();
    for (offset, value) in (0..).zip(values) {
        let letter = Letter {
            topic: source,
            partition: 0,
            offset,
            time: now_ms(),
            key: Some(b"7"),
            value,
            reason: DeadReason::TooLarge,
            detail: "a test",
            node: "here",
        };
        let tell = tell.clone();
        topic.send_then(&letter, move |fate| tell.send(fate.map_err(|error| error.to_string())).unwrap()).unwrap();
    }
    values.iter().map(|_| told.recv_timeout(PATIENCE).unwrap()).collect()
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn a_dead_letter_topic_is_made_like_its_source_with_room_for_its_largest_records() {
    let world = World::new("letters", 3);
    let source = world.topic("large");
    let new = NewTopic::new(&source, 3, TopicReplication::Fixed(1)).set("max.message.bytes", "3000000");
    world.runtime.on(world.admin.create_topics([&new], &AdminOptions::new())).unwrap();
    let topic = DeadLetterTopic::new(&world.config(), "dlq.").unwrap();
    let large = vec![b'x'; 2_990_000];
    assert_eq!(write_letters(&topic, &source, &[&large, b"{"]), [Ok(()), Ok(())]);
    let metadata = world.admin.inner().fetch_metadata(Some(&topic.topic_of(&source)), PATIENCE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    // What no topic takes is refused for good, and said so.
    let too_large = vec![b'x'; 4_000_000];
    let fates = write_letters(&topic, &source, &[&too_large]);
    assert!(fates[0].as_ref().unwrap_err().contains("refuses"), "{fates:?}");

    let order =
        Order { action: Action::Replay, source, only: None, reason: None, since: None, limit: None, dry_run: false };
    for replayed in [2, 0] {
        let mut account = Account::default();
        carry_out(&world.config(), "dlq.", &order, &mut account).unwrap();
        assert_eq!((account.matched, account.done), (replayed, replayed));
    }
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn a_dead_letter_of_a_topic_that_is_not_there_is_not_written() {
    let world = World::new("homeless", 1);
    let topic = DeadLetterTopic::new(&world.config(), "dlq.").unwrap();
    let source = world.topic("nothing");
    let letter = Letter {
        topic: &source,
        partition: 0,
        offset: 0,
        time: now_ms(),
        key: None,
        value: b"{",
        reason: DeadReason::Malformed,
        detail: "",
        node: "here",
    };
    match topic.send_then(&letter, |_| panic!("it was queued")) {
        Err(Error::DeadLetterTopic { topic, detail }) => {
            assert!(topic.starts_with("dlq.") && detail.contains(&source), "{topic}: {detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs EDGEFEED_TEST_KAFKA"]
fn a_group_is_moved_from_outside_only_while_nobody_is_in_it() {
    let world = World::new("group", 2);
    let config = world.config();
    let sink = sink::Config { group: world.topic("sink"), ..Default::default() };
    let order = Resume { from: From::Earliest, accept_reset: true, only: None };
    let center = Some(Latest { epoch: 6, max_offset: 9, range_first: 0, range_last: 9 });
    let resumed = resume_offline(&config, &sink, &order, |_, _, _| Ok(center)).unwrap();
    assert_eq!(resumed.len(), 6);
    let standing = || {
        let status = status_offline(&config, &sink, "default").unwrap();
        status.partitions.into_iter().map(|row| (row.committed, row.epoch, row.stalled)).collect::<Vec<_>>()
    };
    assert_eq!(standing(), vec![(Some(0), Some(7), None); 6]);
    let member: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &world.brokers).set("group.id", &sink.group).create().unwrap();
    member.subscribe(&[&world.topic("events")]).unwrap();
    wait_for("the member", || {
        drop(member.poll(Duration::from_millis(100)));
        member.assignment().unwrap().count() > 0
    });
    match resume_offline(&config, &sink, &order, |_, _, _| Ok(center)) {
        Err(ResumeError::Failed(words)) => assert!(words.contains("a node of the group is running"), "{words}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(standing(), vec![(Some(0), Some(7), None); 6]);
}
