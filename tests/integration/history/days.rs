//! Ninety days are ninety UTC days, at the center and in the node, wherever either of them stands.

use std::collections::BTreeMap;
use std::process::Command;

use edgefeed::clock::now_ms;
use edgefeed_storage::AFFINITY_DAYS;
use edgefeed_storage::model::{Counters, DAY_MS, Id, IdKind, day_of};

use super::own::Own;
use super::place::Place;
use super::told::Told;
use crate::real::stack::unproved;

const ME: Id = Id(1);

/// Views at the edges of days, each of an author of its own: 91 days ago, the last millisecond that is too old, the first
/// one that counts, 89 days ago, today.
fn edges(now: i64) -> Vec<Told> {
    let midnight = now - now % DAY_MS;
    let first = midnight - i64::from(AFFINITY_DAYS - 1) * DAY_MS;
    let times = [now - 91 * DAY_MS, first - 1, first, now - 89 * DAY_MS, midnight - 1, midnight, now];
    let view = |(number, time): (usize, &i64)| {
        Told::view(i64::try_from(number).unwrap(), *time, ME, Id(u128::try_from(number).unwrap() + 100))
    };
    times.iter().enumerate().map(view).collect()
}

async fn ninety_days_are_the_same_everywhere(ids: IdKind) {
    let promise = "the 90 days of a history are the same at the center and in the node";
    let Some(place) = Place::or_unproved(promise, ids).await else { return };
    let now = now_ms();
    let edges = edges(now);
    place.tell(&edges).await;
    let once = |author: u128| (Id(author), Counters { views: 1, ..Counters::default() });
    let counted: BTreeMap<Id, Counters> = (102..=106).map(once).collect();

    let itself = place.node();
    itself.apply(&edges, now);
    assert_eq!(itself.history(ME, now), counted, "a node that saw all of it");

    // A node that began today, behind all of it, and one that began in the middle.
    for begins in [edges.len(), 3] {
        let later = place.node();
        later.apply(&edges[begins..], now);
        if begins == edges.len() {
            let next = [Told::view(90, now, ME, Id(106))];
            later.apply(&next, now);
        }
        later.affinity.ensure(ME, now).await;
        let mut counted = counted.clone();
        if begins == edges.len() {
            counted.get_mut(&Id(106)).unwrap().views += 1;
        }
        assert_eq!(later.history(ME, now), counted, "a node that began at {begins}");
        assert!(!later.is_stale(ME, now));
        let tomorrow = later.history(ME, now + DAY_MS);
        assert!(!tomorrow.contains_key(&Id(102)), "the window moves with the day, whatever was asked yesterday");
    }

    let first = day_of(now) - (AFFINITY_DAYS - 1);
    let sql = format!(
        "SELECT count(), sum(views) FROM (SELECT author_id, sum(views) AS views FROM {}.user_author_90d \
         WHERE toUInt16(day) >= {first} GROUP BY author_id)",
        place.database
    );
    assert_eq!(place.ask(&sql).await, "5\t5", "what the center's own view says");
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_91_days_old_no_longer_counts_and_one_of_89_days_does_with_uuids() {
    ninety_days_are_the_same_everywhere(IdKind::Uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_91_days_old_no_longer_counts_and_one_of_89_days_does_with_integers() {
    ninety_days_are_the_same_everywhere(IdKind::U64).await;
}

/// The same once more, ClickHouse and node both in another zone.
#[test]
fn the_ninety_days_hold_under_another_time_zone() {
    let promise = "the 90 days of a history hold under another time zone";
    if std::env::var_os("EDGEFEED_TEST_CLICKHOUSE").is_none() {
        unproved(promise, "EDGEFEED_TEST_CLICKHOUSE is not set; `make test` starts the real stack");
        return;
    }
    const ZONE: &str = "Asia/Kolkata";
    let server = Own::clickhouse(ZONE);
    let zone = Command::new("curl").args(["-sSf", &server.url, "--data-binary", "SELECT timezone()"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&zone.stdout).trim(), ZONE);
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("an_event_91_days_old_no_longer_counts")
        .env("EDGEFEED_TEST_CLICKHOUSE", &server.url)
        .env("TZ", ZONE)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("2 passed"), "{text}");
}
