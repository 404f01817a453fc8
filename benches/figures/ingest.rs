//! Events applied, against bare RocksDB writing the same keys in the same run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, Message, World, WorldConfig, partition_of};
use edgefeed_storage::key::Keys;
use edgefeed_storage::model::{Change, Event, IdKind, Outcome, Record, Topic, TopicPartition};
use edgefeed_storage::{Config, OpenOptions, Store, bare};
use edgefeed_sync::decode::{self, Decode, decode};
use edgefeed_sync::{EmbeddedBroker, Materializer, Producer};

const EVENTS: usize = 300_000;
const PARTITIONS: u32 = 4;
const ROUNDS: usize = 3;

pub(crate) fn run() {
    println!(
        "\ningest: {EVENTS} events, {PARTITIONS} partitions, batches of 500, best of {ROUNDS} rounds each, in turn"
    );
    let messages = messages();
    let records = records(&messages);
    let events = events(&records);
    assert_eq!(events.len(), EVENTS, "every record is a usable event");
    let dir = tempfile::tempdir().unwrap();
    let mut best = [0.0_f64; 4];
    for round in 0..ROUNDS {
        let home = dir.path().join(round.to_string());
        std::fs::create_dir(&home).unwrap();
        let rates = [
            rate(|| bare::write(&home.join("bare"), Keys(IdKind::Uuid), &events).unwrap()),
            rate(|| apply(&home.join("applied"), &records)),
            rate(|| decode_all(&messages)),
            from_kafka(&home.join("kafka"), &messages),
        ];
        for (best, rate) in best.iter_mut().zip(rates) {
            *best = best.max(rate);
        }
        std::fs::remove_dir_all(&home).unwrap();
    }
    let [bare, applied, decoded, kafka] = best;
    println!("  bare RocksDB, same keys                    {bare:>10.0} events/s   100 %");
    println!(
        "  decode alone                               {decoded:>10.0} events/s   {:>3.0} %",
        100.0 * decoded / bare
    );
    println!(
        "  apply alone                                {applied:>10.0} events/s   {:>3.0} %",
        100.0 * applied / bare
    );
    println!("  Kafka (embedded) to six stores of 50,000   {kafka:>10.0} events/s   {:>3.0} %", 100.0 * kafka / bare);
}

fn rate(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    EVENTS as f64 / started.elapsed().as_secs_f64()
}

fn messages() -> Vec<Message> {
    let mut config = WorldConfig::demo(5_000, 50_000, 7, IdKind::Uuid, now_ms());
    (config.events, config.log_days) = (2 * EVENTS as u64, 7);
    let world = World::new(config);
    let encoding = Encoding::new(IdKind::Uuid);
    let events = world.history().filter(edgefeed::world::Fact::is_event).flat_map(|fact| encoding.encode(&fact));
    events.take(EVENTS).collect()
}

fn settings() -> Decode {
    Decode { ids: IdKind::Uuid, cdc_epoch: 0, record_max_bytes: 1 << 20 }
}

fn records(messages: &[Message]) -> Vec<Record> {
    let mut ends = [0_i64; PARTITIONS as usize];
    let numbered = messages.iter().map(|message| {
        let partition = partition_of(&message.key, PARTITIONS);
        let end = &mut ends[partition as usize];
        *end += 1;
        let (offset, time, value) = (*end - 1, message.time_ms, message.value.as_deref());
        let at = TopicPartition { topic: Topic::Events, partition };
        decode::record(at, offset, time, Some(&message.key), value, &settings(), now_ms())
    });
    numbered.collect()
}

fn events(records: &[Record]) -> Vec<(u32, i64, Event)> {
    let event = |record: &Record| match &record.outcome {
        Outcome::Change(Change::Event(event)) => Some((record.at.partition, record.time, event.clone())),
        _ => None,
    };
    records.iter().filter_map(event).collect()
}

fn open(dir: &std::path::Path) -> Arc<Store> {
    let config = Config { dir: dir.to_owned(), ..Config::default() };
    Arc::new(Store::open(&config, OpenOptions { ids: IdKind::Uuid, apply_truncates: false }).unwrap())
}

fn apply(dir: &std::path::Path, records: &[Record]) {
    let store = open(dir);
    for batch in records.chunks(500) {
        store.apply(batch, now_ms()).unwrap();
    }
}

fn decode_all(messages: &[Message]) {
    let settings = settings();
    for message in messages {
        let (time, value) = (message.time_ms, message.value.as_deref());
        std::hint::black_box(decode(Topic::Events, 0, time, Some(&message.key), value, &settings, time));
    }
}

/// Through a broker: it keeps 5 MiB a partition, so records are written in stretches and only the reading is timed.
fn from_kafka(dir: &std::path::Path, messages: &[Message]) -> f64 {
    const STRETCH: usize = 50_000;
    let mut busy = Duration::ZERO;
    for (stretch, messages) in messages.chunks(STRETCH).enumerate() {
        let names: Vec<String> = Topic::ALL.iter().map(|topic| name(*topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&names, PARTITIONS.cast_signed()).unwrap();
        let brokers = broker.address().unwrap();
        let producer = Producer::connect(&brokers).unwrap();
        let mut ends = [0_i64; PARTITIONS as usize];
        for message in messages {
            let partition = partition_of(&message.key, PARTITIONS);
            ends[partition as usize] += 1;
            let at = Some(partition.cast_signed());
            producer.send("events", at, &message.key, message.value.as_deref(), Some(message.time_ms)).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
        let store = open(&dir.join(stretch.to_string()));
        let config = edgefeed_sync::Config { brokers, ..edgefeed_sync::Config::default() };
        let started = Instant::now();
        let materializer = Materializer::start(&config, store, Arc::new(now_ms)).unwrap();
        for (partition, end) in (0..).zip(ends) {
            let at = TopicPartition { topic: Topic::Events, partition };
            assert!(materializer.lag().wait_applied(at, end, Duration::from_secs(60)));
        }
        busy += started.elapsed();
        materializer.stop(Duration::from_secs(10)).unwrap();
    }
    messages.len() as f64 / busy.as_secs_f64()
}

fn name(topic: Topic) -> String {
    topic.table().map_or_else(|| "events".to_owned(), |table| format!("cdc.{table}"))
}
