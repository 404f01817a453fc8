//! A node that is to stop stops, though a commit of its sink has no answer and will have none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed_sync::EmbeddedBroker;

use super::clickhouse::ClickHouse;
use super::compare;
use super::fold::Fold;
use super::kafka::Topics;
use super::log::{Author, DAY, HOUR, Ids, Shape};
use super::node::PATIENCE;
use super::parts::{Parts, busy, own_name};
use super::proxy::Mode;
use super::stage::Stage;
use super::writer::Writer;
use crate::real::events::now_ms;
use crate::real::steps::until;

const PARTITIONS: u32 = 2;
const EVENTS: usize = 2_000;
const RATE: f64 = 4_000.0;
/// A drain, a commit given up, a goodbye nobody hears.
const STOPPED_WITHIN: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_in_order_while_kafka_is_away_and_what_it_had_begun_lands_once() {
    let promise = "a node stops in order while Kafka is away";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    // Only its ClickHouse and its topics' names are wanted: this Kafka can be taken away from nobody else.
    let real = Stage::new(&parts, "goodbye", Ids::U64, PARTITIONS).await;
    let names = real.topics.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let broker = EmbeddedBroker::start(&names, PARTITIONS.cast_signed()).unwrap();
    let topics = Arc::new(Topics::on(&broker.address().unwrap(), &real.topics.prefix, PARTITIONS, false));
    let center = ClickHouse::new(&real.center.url, &real.center.database);
    let stage = Stage::over(center, topics, Ids::U64, &own_name("goodbye"));
    let to_ms = now_ms();
    let shape = Shape {
        ids: Ids::U64,
        partitions: PARTITIONS,
        events: EVENTS,
        changes: 0,
        from_ms: to_ms - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: false,
    };
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, 41), RATE);
    writer.allow(EVENTS / 2);
    writer.idle().await;
    let mut member = stage.member(0).await;
    // The embedded broker lets a group wait 3 s for more members, and counts that as silence.
    member.node.settings.more.insert(("sink", "session_timeout_ms"), "10000".to_owned());
    member.node.start_ready().await;
    stage.drained(&writer.ends()).await;

    // An insert is under way when Kafka goes, and ends when it has gone: its commit meets nobody.
    let rows = async || stage.center.number("SELECT toString(count()) FROM DB.events").await;
    let before = rows().await;
    member.proxy.set(Mode::Silent);
    writer.allow(EVENTS / 2);
    writer.idle().await;
    let hangs = until(PATIENCE, async || (member.node.sum("edgefeed_sink_retries_total").await > 0.0).then_some(()));
    assert!(hangs.await.is_some(), "nothing was sent");
    broker.down().unwrap();
    member.proxy.set(Mode::There);
    let landed = until(PATIENCE, async || (rows().await > before).then_some(())).await;
    assert!(landed.is_some(), "what was begun does not land");

    let asked = Instant::now();
    member.leave().await;
    let took = asked.elapsed();
    assert!(took < STOPPED_WITHIN, "stopped after {took:?}");
    eprintln!("stopped {took:?} after SIGTERM with Kafka away");

    broker.up().unwrap();
    member.node.start_ready().await;
    stage.drained(&writer.ends()).await;
    let fold = Fold::of(&writer.finish());
    compare::events(&stage.center, &stage.origin, &fold).await;
    compare::views_against_events(&stage.center).await;
    stage.check_inserts();
    real.center.drop_database().await;
}
