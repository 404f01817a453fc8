//! A center that hangs is left alone soon, found out by the sink itself, and taken back soon.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::{Author, DAY, HOUR, Ids, Shape};
use super::node::{Node, PATIENCE};
use super::parts::{Parts, quiet};
use super::proxy::Mode;
use super::stage::Stage;
use super::writer::Writer;
use crate::real::events::now_ms;
use crate::real::steps::until;

/// Few enough that what hangs at once is less than what it may take.
const PARTITIONS: u32 = 2;
const RATE: f64 = 4_000.0;
/// Calls that may fail before the center is left alone.
const CALLS: f64 = 20.0;
/// Inserts that failed.
const FAILED: &str = "edgefeed_sink_retries_total";
/// How soon it is taken back once it is well.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Feeds asked for, with the breaker closed and open.
const FEEDS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_center_opens_the_breaker_through_the_sink_alone_and_closes_it_within_ten_seconds_of_healing() {
    let promise = "a hanging center opens the breaker through the sink alone";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = quiet().await;
    let stage = Stage::new(&parts, "breaker", Ids::U64, PARTITIONS).await;
    let mut member = stage.member(0).await;
    member.node.start_ready().await;
    let to_ms = now_ms();
    let shape = Shape {
        ids: Ids::U64,
        partitions: PARTITIONS,
        events: 4_000,
        changes: 1_000,
        from_ms: to_ms - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, 11), RATE);
    writer.allow(2_000);
    writer.idle().await;
    stage.drained(&writer.ends()).await;
    let reader = writer.written().author.user(0).to_string();
    // The reader's history is taken now: nobody but the sink asks the center later.
    feeds(&member.node, &reader, 1).await;
    let closed = feeds(&member.node, &reader, FEEDS).await;
    assert!(is(&member.node, 0.0).await, "closed while all is well");

    let before = member.node.sum(FAILED).await;
    member.proxy.set(Mode::Silent);
    writer.allow(2_000);
    writer.idle().await;
    let opened = until(PATIENCE, async || (!is(&member.node, 0.0).await).then_some(())).await;
    assert!(opened.is_some(), "a center that answers nothing is asked on and on");
    let calls = member.node.sum(FAILED).await - before;
    assert!((1.0..=CALLS).contains(&calls), "{calls} inserts hung before it was left alone");
    let open = feeds(&member.node, &reader, FEEDS).await;

    member.proxy.set(Mode::There);
    let healed = Instant::now();
    let back = until(PATIENCE, async || is(&member.node, 0.0).await.then_some(())).await;
    let took = healed.elapsed();
    assert!(back.is_some() && took <= BACK_WITHIN, "taken back after {took:?}");
    stage.drained(&writer.ends()).await;
    eprintln!(
        "open after {calls} hanging inserts, closed {took:?} after healing; a feed takes {closed:?} with it closed, {open:?} open (median)"
    );
    assert!(
        open < closed * 3 + Duration::from_millis(5),
        "a hanging center costs readers something: {open:?} for {closed:?}"
    );
    stage.check(&writer.finish(), &BTreeSet::new()).await;
    stage.center.drop_database().await;
}

/// Whether the breaker around ClickHouse is in this state: 0 closed, 1 half-open, 2 open.
async fn is(node: &Node, state: f64) -> bool {
    let samples = node.metric("edgefeed_breaker_state").await;
    samples.iter().any(|(labels, value)| labels.contains("clickhouse") && (*value - state).abs() < 0.5)
}

/// The median time of a page, each of them 200.
async fn feeds(node: &Node, reader: &str, count: usize) -> Duration {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        let (status, body) = node.feed(reader).await;
        assert_eq!(status, 200, "{body}");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[took.len() / 2]
}
