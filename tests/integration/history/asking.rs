//! What asking costs: one query for a reader however many ask, no more time than the budget, and a page in any case.

use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed_storage::model::{DAY_MS, Id, IdKind};
use edgefeed_sync::breaker::State;

use super::middleman::Middleman;
use super::place::{Node, Place};
use super::told::Told;

const ME: Id = Id(1);
/// Many times the budget, and a fraction of how long a query may take.
const PROMPT: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_at_once_cost_one_query_a_reader() {
    let promise = "a hundred requests at once cost one query a reader";
    let Some(place) = Place::or_unproved(promise, IdKind::Uuid).await else { return };
    let now = now_ms();
    place.tell(&[Told::view(1, now - DAY_MS, ME, Id(20)), Told::view(2, now, Id(2), Id(20))]).await;
    let between = Middleman::to(&place.url, Duration::from_millis(100)).await;
    let node = Node::new(IdKind::Uuid, &place.config(&between.url));
    node.apply(&[Told::view(10, now, ME, Id(20))], now);
    let asked = (0..100).map(|number| {
        let affinity = node.affinity.clone();
        tokio::spawn(async move { affinity.ensure(Id(1 + number % 2), now).await })
    });
    for asked in asked.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    assert_eq!(between.queries(), 2);
    assert_eq!(node.history(ME, now)[&Id(20)].views, 2, "everybody waited for what one of them asked");
    assert_eq!(node.history(Id(2), now)[&Id(20)].views, 1);
    node.affinity.ensure(ME, now).await;
    // Somebody without any history: that is known from then on, too.
    node.affinity.ensure(Id(3), now).await;
    node.affinity.ensure(Id(3), now).await;
    assert_eq!(between.queries(), 3, "what is known is not asked for");
    assert!(!node.is_stale(Id(3), now));
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_comes_late_is_there_for_the_next_request() {
    let promise = "a history that comes late is there for the next request";
    let Some(place) = Place::or_unproved(promise, IdKind::Uuid).await else { return };
    let now = now_ms();
    place.tell(&[Told::view(1, now - DAY_MS, ME, Id(20))]).await;
    let between = Middleman::to(&place.url, Duration::from_millis(900)).await;
    let mut config = place.config(&between.url);
    config.affinity_budget_ms = 50;
    let node = Node::new(IdKind::Uuid, &config);
    node.apply(&[Told::view(10, now, ME, Id(20))], now);
    let started = Instant::now();
    node.affinity.ensure(ME, now).await;
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    assert_eq!(node.history(ME, now)[&Id(20)].views, 1, "the page is made without it");
    assert!(node.is_stale(ME, now));
    let deadline = Instant::now() + Duration::from_secs(20);
    while node.store.base_of(ME).unwrap().is_none() {
        assert!(Instant::now() < deadline, "the history never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.history(ME, now)[&Id(20)].views, 2);
    assert!(!node.is_stale(ME, now));
    assert_eq!(between.queries(), 1);
    place.remove().await;
}

/// This one needs no ClickHouse: it is about one that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_center_that_hangs_costs_a_request_its_budget_and_is_soon_left_alone() {
    let silent = Middleman::silent().await;
    let config = edgefeed_sync::center::Config {
        url: silent.url.clone(),
        affinity_budget_ms: 50,
        affinity_concurrency: 8,
        query_timeout_ms: 1_500,
        ..Default::default()
    };
    let node = Node::new(IdKind::U64, &config);
    let now = now_ms();
    node.apply(&[Told::view(10, now, ME, Id(20))], now);
    for round in 0..3 {
        let asked = (0..100).map(|number| {
            let affinity = node.affinity.clone();
            tokio::spawn(async move {
                let started = Instant::now();
                affinity.ensure(Id(1 + number), now).await;
                started.elapsed()
            })
        });
        for asked in asked.collect::<Vec<_>>() {
            let took = asked.await.unwrap();
            assert!(took < PROMPT, "round {round}: a request waited {took:?}");
        }
    }
    assert!((1..=8).contains(&silent.queries()), "{} queries for 100 readers", silent.queries());
    let deadline = Instant::now() + Duration::from_secs(20);
    while node.breaker.state() != State::Open {
        assert!(Instant::now() < deadline, "eight queries without an answer open the breaker");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = silent.queries();
    node.affinity.ensure(ME, now).await;
    assert_eq!(silent.queries(), before);
    assert!(node.is_stale(ME, now));
    assert_eq!(node.history(ME, now)[&Id(20)].views, 1, "the node's own history is served all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_is_renewed_in_the_background_and_marked_when_it_cannot_be() {
    let promise = "a base is renewed in the background and marked when it cannot be";
    let Some(place) = Place::or_unproved(promise, IdKind::U64).await else { return };
    let now = now_ms();
    let config = place.config(&place.url);
    let node = Node::new(IdKind::U64, &config);
    node.apply(&[Told::view(10, now, Id(9), Id(20))], now);
    node.affinity.ensure(ME, now).await;
    assert!(node.history(ME, now).is_empty());
    // What the sink had not sent yet.
    place.tell(&[Told::view(1, now - DAY_MS, ME, Id(20))]).await;
    let refresh_ms = i64::try_from(config.affinity_refresh_s).unwrap() * 1_000;
    assert_eq!(node.affinity.refresh_active(now + refresh_ms).await, Ok(0), "nothing is renewed before its time");
    let later = now + refresh_ms + 1;
    node.affinity.ensure(ME, later).await;
    assert!(node.history(ME, now).is_empty(), "old, but not so old that a request would wait");
    assert!(!node.is_stale(ME, later));
    assert_eq!(node.affinity.refresh_active(later).await, Ok(1));
    assert_eq!(node.history(ME, now)[&Id(20)].views, 1);
    let much_later = later + 2 * refresh_ms;
    assert!(!node.is_stale(ME, much_later));
    assert!(node.is_stale(ME, much_later + 1));
    node.breaker.force(edgefeed_sync::breaker::Forced::Open);
    assert!(!node.is_stale(ME, later + refresh_ms));
    assert!(node.is_stale(ME, later + refresh_ms + 1), "while nobody can be asked, sooner");
    assert_eq!(node.affinity.refresh_active(much_later).await, Ok(0), "who was not here for an hour is not renewed");
    node.affinity.ensure(ME, much_later).await;
    assert!(node.affinity.refresh_active(much_later).await.is_err());
    place.remove().await;
}
