//! PostgreSQL that accepts and never answers: what it costs, and how soon it is found well again.

use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed::cursor::Keyset;
use edgefeed::fallback::FallbackError;
use edgefeed_storage::model::{Id, IdKind};

use super::application::{Application, Post};
use super::edge::{Edge, NOWHERE};
use super::proxy::Proxy;
use crate::real::stack::Stack;
use crate::real::steps::until;

const PROMISE: &str = "a PostgreSQL that hangs costs little and is asked again once it is well";
/// `postgres.acquire_timeout_ms` and `postgres.statement_timeout_ms` as they are by default.
const TIMEOUTS: Duration = Duration::from_millis(150 + 250);
/// What a busy machine, the connection to the node and the answer may add.
const AROUND: Duration = Duration::from_millis(250);
const HEALED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_hangs_is_left_alone_within_twenty_calls_and_is_back_within_ten_seconds_of_healing() {
    let Some(stack) = Stack::with_postgres_or_unproved(PROMISE) else { return };
    let application = Application::new(&stack, IdKind::Uuid).await;
    let (reader, author) = (application.id(), application.id());
    application.follow(reader, author).await;
    let post = Post { id: application.id(), author, created_us: (now_ms() - 1_000) * 1_000 };
    application.write(&[post], false).await;
    let proxy = Proxy::before(&application.reader).await;
    let edge = Edge::start(IdKind::Uuid, NOWHERE, &proxy.url, |_| {}).await;
    for _ in 0..20 {
        assert_eq!(edge.page(reader, "").await.ids(IdKind::Uuid), [post.id]);
    }

    proxy.hang();
    let mut calls = 0;
    while edge.breaker("postgres").await == "closed" {
        let begun = Instant::now();
        assert_eq!(edge.page(reader, "").await.status, 503);
        assert!(begun.elapsed() <= TIMEOUTS + AROUND, "call {calls} took {:?}", begun.elapsed());
        calls += 1;
        assert!(calls <= 20, "still asked after {calls} calls");
    }
    // Left alone, it costs nothing; a probe now and then costs one reader what a call costs.
    let begun = Instant::now();
    let mut waited = 0;
    for _ in 0..50 {
        let asked = Instant::now();
        assert_eq!(edge.page(reader, "").await.status, 503);
        waited += usize::from(asked.elapsed() > Duration::from_millis(100));
    }
    let probes = 1 + begun.elapsed().as_millis() as usize / 2_000;
    assert!(waited <= probes, "{waited} of 50 waited, with time for {probes} probes");

    proxy.heal();
    let healed = Instant::now();
    let well = until(HEALED_WITHIN, async || {
        let answers = edge.page(reader, "").await.status == 200;
        (answers && edge.breaker("postgres").await == "closed").then_some(())
    });
    assert!(well.await.is_some(), "{:#}", edge.told("/admin/breaker").await);
    println!("asked again and closed {:?} after healing; opened after {calls} calls", healed.elapsed());
    edge.page(reader, "").await.is_from("fallback", &["counts_missing", "store_empty"]);
    edge.node.stop().await.unwrap();
}

/// Busy is not broken: what waits in line says nothing about PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn more_readers_than_connections_open_no_breaker() {
    let Some(stack) = Stack::with_postgres_or_unproved(PROMISE) else { return };
    let application = Application::new(&stack, IdKind::U64).await;
    let edge = Edge::start(IdKind::U64, NOWHERE, &application.reader, |config| config.postgres.pool_max = 1).await;
    let reader = application.id();
    // The one connection is open before the crowd comes.
    assert_eq!(edge.page(reader, "").await.status, 200);
    let answers = edge.node.now().answers.clone();
    let fallback = answers.fallback.as_ref().unwrap();
    let below = Keyset::exact(now_ms() * 1_000, Id(0));
    let answers = futures_util::future::join_all((0..5_000).map(|_| fallback.newest(reader, below, 21))).await;
    let turned_away = answers.iter().filter(|answer| matches!(answer, Err(FallbackError::Busy))).count();
    println!("{turned_away} of {} turned away", answers.len());
    assert!(turned_away > 0, "the crowd is too small to make anybody wait too long");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), answers.len() - turned_away);
    assert_eq!(edge.breaker("postgres").await, "closed", "{:#}", edge.told("/admin/breaker").await);
    edge.node.stop().await.unwrap();
}
