//! Criterion benches of the pure parts: decode, apply, score.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench fails by panicking")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use edgefeed::ranking::config::Spacing;
use edgefeed::ranking::{Config, score, select};
use edgefeed::world::{Encoding, Message, World, WorldConfig};
use edgefeed_storage::model::{Counters, IdKind, Record, TopicPartition};
use edgefeed_storage::{AuthorNo, OpenOptions, Store};
use edgefeed_sync::decode::{self, Decode};

const BATCH: usize = 500;

fn messages(events: bool) -> Vec<Message> {
    let world = World::new(WorldConfig::small(1, IdKind::Uuid));
    let encoding = Encoding::new(IdKind::Uuid);
    let facts = world.history().filter(|fact| fact.is_event() == events).take(4 * BATCH);
    facts.flat_map(|fact| encoding.encode(&fact)).collect()
}

fn record(offset: usize, message: &Message) -> Record {
    let settings = Decode { ids: IdKind::Uuid, cdc_epoch: 0, record_max_bytes: 1 << 20 };
    let offset = i64::try_from(offset).unwrap();
    let (time, value) = (message.time_ms, message.value.as_deref());
    let at = TopicPartition { topic: message.topic, partition: 0 };
    decode::record(at, offset, time, Some(&message.key), value, &settings, time)
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, events) in [("events", true), ("cdc", false)] {
        let messages = messages(events);
        group.throughput(Throughput::Elements(messages.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| messages.iter().enumerate().for_each(|(at, message)| drop(black_box(record(at, message)))));
        });
    }
}

fn applying(criterion: &mut Criterion) {
    let records: Vec<Record> = messages(true).iter().enumerate().map(|(at, message)| record(at, message)).collect();
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(BATCH as u64));
    let dir = tempfile::tempdir().unwrap();
    let config = edgefeed_storage::Config { dir: dir.path().join("store"), ..Default::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::Uuid, apply_truncates: false }).unwrap();
    let mut next = 0;
    group.bench_function("500 events", |bench| {
        let batch = || {
            // New offsets and ids each time, or nothing would be left to do.
            let batch: Vec<Record> =
                records[..BATCH].iter().cloned().map(|record| renewed(record, &mut next)).collect();
            batch
        };
        bench.iter_batched(batch, |batch| store.apply(&batch, batch[0].time).unwrap(), BatchSize::LargeInput);
    });
}

fn renewed(mut record: Record, next: &mut i64) -> Record {
    record.offset = *next;
    *next += 1;
    if let edgefeed_storage::model::Outcome::Change(edgefeed_storage::model::Change::Event(event)) = &mut record.outcome
    {
        event.event_id = uuid::Uuid::new_v4().as_u128();
    }
    record
}

fn scoring(criterion: &mut Criterion) {
    let config = Config::default();
    let sum = Counters { views: 9, impressions: 80, likes: 7, comments: 2, shares: 1, dwell_ms: 0 };
    let mut group = criterion.benchmark_group("score");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one post", |bench| {
        bench.iter(|| {
            let terms = score::Terms {
                freshness: score::freshness(&config, black_box(0), black_box(7_000_000)),
                engagement: score::engagement(&config, black_box(&sum)),
                affinity: score::affinity(black_box(345)),
            };
            score::score(&config, &terms)
        });
    });
    let authors: Vec<AuthorNo> = (0..900_u32).map(|rank| AuthorNo::from(rank * rank % 211)).collect();
    group.bench_function("places of 900 posts", |bench| {
        bench.iter(|| select::space(black_box(&authors).iter().copied(), &Spacing::default(), 20));
    });
}

criterion_group!(benches, decoding, applying, scoring);
criterion_main!(benches);
