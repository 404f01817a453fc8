//! Base and own history count every event of the log once, wherever in it a node begins.

use std::collections::BTreeMap;

use edgefeed::clock::now_ms;
use edgefeed_storage::AFFINITY_DAYS;
use edgefeed_storage::model::{Action, Counters, DAY_MS, Event, HOUR_MS, Id, IdKind, Topic, TopicPartition, day_of};
use edgefeed_sync::breaker::Forced;

use super::place::Place;
use super::told::Told;
use crate::crash::dice::Dice;

const PARTITIONS: u32 = 4;
const READERS: u128 = 6;
const RECORDS: usize = 400;
const CUTS: usize = 25;
const ACTIONS: [Action; 6] =
    [Action::View, Action::Impression, Action::Like, Action::Comment, Action::Share, Action::Hide];

/// A log of some days: in each partition times never fall, and phones tell late or, by a few minutes, early.
fn log(dice: &mut Dice, end: i64) -> Vec<Vec<Told>> {
    let mut one = |partition| {
        // Partitions begin on different days, and one may be nearly silent.
        let days = 1 + below(dice, 12);
        let records = if dice.below(4) == 0 { 3 } else { RECORDS };
        let mut times: Vec<i64> = (0..records).map(|_| end - below(dice, days * DAY_MS)).collect();
        times.sort_unstable();
        let tell = |(offset, time): (usize, i64)| {
            let offset = i64::try_from(offset).unwrap() + 1_000;
            Told { partition, offset, time, event: event(dice, time) }
        };
        times.into_iter().enumerate().map(tell).collect()
    };
    (0..PARTITIONS).map(&mut one).collect()
}

fn below(dice: &mut Dice, bound: i64) -> i64 {
    i64::try_from(dice.below(usize::try_from(bound).unwrap())).unwrap()
}

fn event(dice: &mut Dice, time: i64) -> Event {
    let late = match dice.below(4) {
        0 => below(dice, 90 * DAY_MS),
        1 => -below(dice, 5 * 60_000),
        _ => below(dice, 2 * HOUR_MS),
    };
    let pick = |dice: &mut Dice, most: u128| Id(1 + dice.below(most as usize) as u128);
    Event {
        event_id: uuid::Uuid::new_v4().as_u128(),
        event_time: time - late,
        user: pick(dice, READERS),
        post: pick(dice, 1_000),
        author: (dice.below(10) > 0).then(|| pick(dice, 9)),
        action: *dice.pick(&ACTIONS),
        dwell_ms: if dice.below(2) == 0 { 0 } else { dice.below(60_000) as u32 },
    }
}

/// What a reader did, by the log alone.
fn folded(log: &[Vec<Told>], reader: Id, now: i64) -> BTreeMap<Id, Counters> {
    let today = day_of(now);
    let window = today - (AFFINITY_DAYS - 1)..=today;
    let mut all: BTreeMap<Id, Counters> = BTreeMap::new();
    for told in log.iter().flatten().filter(|told| told.event.user == reader) {
        if let Some((author, counters)) = told.adds().filter(|_| window.contains(&day_of(told.event.event_time))) {
            all.entry(author).or_default().add(&counters);
        }
    }
    all
}

async fn every_event_counts_once(ids: IdKind) {
    let promise = "base and own history count every event once, wherever the log is cut";
    let Some(place) = Place::or_unproved(promise, ids).await else { return };
    let mut dice = Dice::of_run();
    let end = now_ms();
    let log = log(&mut dice, end);
    for partition in &log {
        place.tell(partition).await;
    }
    let mut below = 0;
    for cut in 0..CUTS {
        let node = place.node();
        let mut taken = Vec::new();
        for (partition, records) in log.iter().enumerate() {
            let at = dice.below(records.len() + 1);
            let (_, own) = records.split_at(at);
            node.apply(own, end);
            if own.is_empty() {
                let partition = u32::try_from(partition).unwrap();
                let next = records.last().unwrap().offset + 1;
                node.store.advance(TopicPartition { topic: Topic::Events, partition }, next, end).unwrap();
            }
            taken.push(at);
        }
        below += taken.iter().sum::<usize>();
        // Some are asked about one by one, the others by the job.
        node.breaker.force(Forced::Open);
        for reader in 1..=READERS {
            node.affinity.ensure(Id(reader), end).await;
            assert!(node.is_stale(Id(reader), end), "nothing came through");
        }
        node.breaker.force(Forced::None);
        node.affinity.ensure(Id(1), end).await;
        assert_eq!(node.affinity.refresh_active(end).await, Ok(usize::try_from(READERS - 1).unwrap()));
        for reader in (1..=READERS).map(Id) {
            assert!(!node.is_stale(reader, end));
            for now in [end, end + 40 * DAY_MS, end + 85 * DAY_MS] {
                let found = node.history(reader, now);
                assert_eq!(found, folded(&log, reader, now), "cut {cut} at {taken:?}, reader {reader:?}, at {now}");
            }
        }
    }
    assert!(below > 0, "some of the log lay below some cut");
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_counts_once_wherever_a_node_begins_with_uuids() {
    every_event_counts_once(IdKind::Uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_counts_once_wherever_a_node_begins_with_integers() {
    every_event_counts_once(IdKind::U64).await;
}
