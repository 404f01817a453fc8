//! What is done to Kafka from outside a node: dead letters written and replayed, and the sink's group told where to go
//! on. Against a broker that speaks the real protocol.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use edgefeed_storage::model::DeadReason;
use edgefeed_sync::center::Latest;
use edgefeed_sync::dead_letters::{Account, Action, DeadLetterTopic, Letter, Order, carry_out};
use edgefeed_sync::sink::{self, From, Resume, ResumeError, resume_offline, status_offline};
use edgefeed_sync::{Config, EmbeddedBroker};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};

/// Long enough for a slow machine; nothing waits for it to pass where all is well.
const PATIENCE: Duration = Duration::from_secs(30);
const TOPICS: [&str; 6] = ["events", "cdc.posts", "cdc.follows", "cdc.comments", "cdc.likes", "dlq.events"];

fn world() -> (EmbeddedBroker, Config) {
    let broker = EmbeddedBroker::start(&TOPICS, 3).unwrap();
    let config = Config { brokers: broker.address().unwrap(), ..Config::default() };
    (broker, config)
}

fn consumer(config: &Config, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap()
}

/// Everything in a topic, once so many records are there.
fn records(config: &Config, topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer = consumer(config, "a-reader-of-tests");
    consumer.subscribe(&[topic]).unwrap();
    let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} in {topic}", records.len());
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            records.push(record.unwrap().detach());
        }
    }
    records
}

fn header(record: &OwnedMessage, name: &str) -> Option<String> {
    let found = record.headers()?.iter().find(|header| header.key == name)?.value?;
    Some(String::from_utf8(found.to_vec()).unwrap())
}

/// Writes so many dead letters of `events`; the first had no key.
fn write(config: &Config, count: u32) {
    let topic = DeadLetterTopic::new(config, "dlq.").unwrap();
    let (tell, told) = channel();
    for number in 0..count {
        let value = format!("record {number}");
        let letter = Letter {
            topic: "events",
            partition: number % 3,
            offset: i64::from(number),
            time: 1_000 * i64::from(number),
            key: (number > 0).then_some(b"7"),
            value: value.as_bytes(),
            reason: if number.is_multiple_of(2) { DeadReason::Malformed } else { DeadReason::BadId },
            detail: "why",
            node: "here",
        };
        let tell = tell.clone();
        topic.send_then(&letter, move |fate| tell.send(fate.is_ok()).unwrap()).unwrap();
    }
    for _ in 0..count {
        assert!(told.recv_timeout(PATIENCE).unwrap());
    }
}

fn order() -> Order {
    let source = "events".to_owned();
    Order { action: Action::Replay, source, only: None, reason: None, since: None, limit: None, dry_run: false }
}

fn done(config: &Config, order: &Order) -> (u64, u64) {
    let mut account = Account::default();
    carry_out(config, "dlq.", order, &mut account).unwrap();
    (account.matched, account.done)
}

#[test]
fn a_dead_letter_carries_its_record_and_the_reason() {
    let (_broker, config) = world();
    write(&config, 2);
    let by_key: BTreeMap<_, _> = records(&config, "dlq.events", 2)
        .into_iter()
        .map(|record| (String::from_utf8(record.key().unwrap().to_vec()).unwrap(), record))
        .collect();
    let (first, second) = (&by_key["events-0-0"], &by_key["events-1-1"]);
    assert_eq!(second.payload().unwrap(), b"record 1");
    for (name, value) in [
        ("edgefeed-reason", "bad_id"),
        ("edgefeed-detail", "why"),
        ("edgefeed-key", "7"),
        ("edgefeed-time", "1000"),
        ("edgefeed-node", "here"),
    ] {
        assert_eq!(header(second, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(header(first, "edgefeed-key"), None);
}

#[test]
fn a_replayed_record_is_the_same_record_and_says_where_it_came_from() {
    let (_broker, config) = world();
    write(&config, 4);
    assert_eq!(done(&config, &order()), (4, 4));
    let mut replayed = records(&config, "events", 4);
    replayed.sort_by_key(|record| record.payload().map(<[u8]>::to_vec));
    for (number, record) in replayed.iter().enumerate() {
        assert_eq!(record.payload().unwrap(), format!("record {number}").as_bytes());
        assert_eq!(record.key(), (number > 0).then_some(&b"7"[..]));
        let name = format!("events-{}-{number}", number % 3);
        assert_eq!(header(record, "edgefeed-replay-of"), Some(name));
    }
    assert_eq!(done(&config, &order()), (0, 0));
    // Written once more by a sink that reads the log anew, they stand again.
    write(&config, 1);
    assert_eq!(done(&config, &order()), (1, 1));
}

#[test]
fn what_is_replayed_can_be_chosen() {
    let (_broker, config) = world();
    write(&config, 12);
    assert_eq!(done(&config, &Order { dry_run: true, ..order() }), (12, 0));
    assert_eq!(done(&config, &Order { since: Some(10_000), ..order() }), (2, 2));
    assert_eq!(done(&config, &Order { only: Some([(1, 1), (1, 99)].into()), ..order() }), (1, 1));
    let malformed = Order { reason: Some(DeadReason::Malformed), ..order() };
    assert_eq!(done(&config, &Order { limit: Some(2), ..malformed.clone() }), (2, 2));
    assert_eq!(done(&config, &Order { action: Action::Drop, ..malformed }), (3, 3));
    assert_eq!(done(&config, &order()), (4, 4));
    assert_eq!(records(&config, "events", 9).len(), 9);
    assert_eq!(done(&config, &order()), (0, 0));
}

#[test]
fn more_letters_than_go_together_are_all_replayed_once() {
    let (_broker, config) = world();
    write(&config, 1_300);
    assert_eq!(done(&config, &order()), (1_300, 1_300));
    assert_eq!(done(&config, &order()), (0, 0));
}

#[test]
fn a_topic_without_dead_letters_or_without_a_place_for_them_replays_nothing() {
    let (_broker, config) = world();
    assert_eq!(done(&config, &order()), (0, 0));
    let mut account = Account::default();
    carry_out(&config, "dlq.", &Order { source: "cdc.posts".to_owned(), ..order() }, &mut account).unwrap();
    assert!(!account.exists, "{account:?}");
    let error = carry_out(&config, "dlq.", &Order { source: "nothing".to_owned(), ..order() }, &mut account);
    assert!(error.unwrap_err().to_string().contains("no such topic"));
}

fn resume(config: &Config, from: From, latest: Option<Latest>) -> Result<Vec<sink::Resumed>, ResumeError> {
    let order = Resume { from, accept_reset: true, only: Some(("events".to_owned(), 1)) };
    resume_offline(config, &sink::Config::default(), &order, |_, _, _| Ok(latest))
}

/// Offset, end of the pending range, epoch, and why it waits, of `events` 1.
fn standing(config: &Config) -> (Option<i64>, Option<i64>, Option<u32>, Option<String>) {
    let status = status_offline(config, &sink::Config::default(), "default").unwrap();
    assert_eq!(status.partitions.len(), 15);
    let row = status.partitions.into_iter().find(|row| row.topic == "events" && row.partition == 1).unwrap();
    (row.committed, row.pending_through, row.epoch, row.stalled.map(|stalled| stalled.reason))
}

fn fill(config: &Config, count: usize) {
    let producer = edgefeed_sync::Producer::connect(&config.brokers).unwrap();
    for _ in 0..count {
        producer.send("events", Some(1), b"7", Some(b"{}"), None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn the_group_goes_on_where_it_is_told() {
    let (_broker, config) = world();
    fill(&config, 50);
    assert_eq!(standing(&config), (None, None, None, None));
    let center = Some(Latest { epoch: 3, max_offset: 28, range_first: 20, range_last: 29 });
    let resumed = resume(&config, From::Center, center).unwrap();
    assert_eq!(resumed.len(), 1);
    assert_eq!((resumed[0].from_offset, resumed[0].pending_through, resumed[0].epoch), (20, Some(29), 3));
    assert_eq!(standing(&config), (Some(20), Some(29), Some(3), None));
    resume(&config, From::Earliest, center).unwrap();
    assert_eq!(standing(&config), (Some(0), None, Some(4), None));
    // The epoch just committed counts as used.
    resume(&config, From::Offset(40), center).unwrap();
    assert_eq!(standing(&config), (Some(40), None, Some(5), None));
    let refused = resume(&config, From::Offset(51), center);
    assert!(matches!(refused, Err(ResumeError::Order(_))), "{refused:?}");
    assert_eq!(standing(&config), (Some(40), None, Some(5), None));
}

#[test]
fn a_group_with_a_running_member_is_not_moved_from_outside() {
    let (_broker, config) = world();
    fill(&config, 5);
    let member = consumer(&config, &sink::Config::default().group);
    member.subscribe(&["events"]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while member.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "it never became a member");
        drop(member.poll(Duration::from_millis(100)));
    }
    match resume(&config, From::Earliest, None) {
        Err(ResumeError::Failed(words)) => assert!(words.contains("a node of the group is running"), "{words}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(standing(&config).0, None);
}
