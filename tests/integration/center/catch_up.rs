//! How fast the sink brings a materialized backlog into ClickHouse, against the same batches posted by hand.
//!
//! Both go through the same proxy to the same server, one after the other in one run; the proxy costs both the same. The
//! sink's time begins when it is given its partitions, with nothing read, and ends with the last insert's answer: all it
//! does to read, decode, encode, commit and send is in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clickhouse::ClickHouse;
use super::compare;
use super::fold::Fold;
use super::log::{Author, DAY, HOUR, Ids, Shape};
use super::node::PATIENCE;
use super::parts::{Parts, own_name, quiet};
use super::proxy::Proxy;
use super::stage::Stage;
use super::writer::Writer;
use crate::crash::dice::times;
use crate::real::events::now_ms;
use crate::real::steps::until;

const PARTITIONS: u32 = 4;
const RATE: f64 = 200_000.0;
/// The floor, asserted where there are enough rows for a figure.
const FLOOR: f64 = 0.5;
const ENOUGH: usize = 500_000;
/// The default, which an operator has.
const FLUSH_ROWS: usize = 50_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_materialized_backlog_catches_up_at_half_the_rate_of_bare_inserts_or_better() {
    let promise = "a materialized backlog catches up at half the rate of bare inserts or better";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = quiet().await;
    let events = times("EDGEFEED_BACKLOG", 40_000);
    let flush_rows = FLUSH_ROWS.min(events / PARTITIONS as usize / 5);
    let stage = Stage::new(&parts, "catch", Ids::U64, PARTITIONS).await;
    let to_ms = now_ms();
    let shape = Shape {
        ids: Ids::U64,
        partitions: PARTITIONS,
        events,
        changes: 0,
        from_ms: to_ms - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: false,
    };
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, 3), RATE);
    writer.allow(events);
    writer.idle().await;

    // Materialized by a node without a share in the sink, then the same node with one.
    let mut member = stage.member(0).await;
    let more = &mut member.node.settings.more;
    more.insert(("sink", "flush_rows"), flush_rows.to_string());
    more.insert(("sink", "flush_ms"), "1000".to_owned());
    more.insert(("clickhouse", "insert_timeout_ms"), "20000".to_owned());
    let roles = std::mem::replace(&mut member.node.settings.roles, r#"["serve"]"#);
    member.node.start_ready().await;
    let ends = writer.ends();
    let materialized = until(PATIENCE, async || member.node.applied(&ends).await.then_some(())).await;
    assert!(materialized.is_some(), "the backlog is not materialized");
    member.leave().await;
    member.node.settings.roles = roles;
    stage.control.keep();
    member.node.start();
    stage.drained(&ends).await;
    let fold = Fold::of(&writer.written().log);
    compare::events(&stage.center, &stage.origin, &fold).await;

    let last = stage.control.seen(|seen| seen.tokens.values().flatten().filter_map(|sent| sent.ended).max()).unwrap();
    let took = Duration::from_millis((now_ms() - given_at(&member.node.log())).unsigned_abs()) - last.elapsed();
    let ours = fold.events.len() as f64 / took.as_secs_f64();
    let batches = stage.control.take_kept();
    let theirs = by_hand(&parts, &stage, &batches).await;
    let bare = fold.events.len() as f64 / theirs.as_secs_f64();
    eprintln!(
        "a materialized backlog of {} rows in {} inserts: {ours:.0} rows/s into ClickHouse with its views, {bare:.0} rows/s \
         posted by hand: {:.0} % (floor 50 %, goal 70 %)",
        fold.events.len(),
        batches.len(),
        100.0 * ours / bare,
    );
    assert!(events < ENOUGH || ours >= FLOOR * bare, "{ours:.0} rows/s against {bare:.0}");
    stage.center.drop_database().await;
}

/// When the sink was last given its partitions, as the node's log tells it.
fn given_at(log: &str) -> i64 {
    let given = |line: &&str| line.contains("the sink's share of the group changed") && line.contains("Assigned");
    let line = log.lines().rfind(given).expect("the node says what it is given");
    let from = line.find("20").expect("a line begins with its time");
    let end = line[from..].find('Z').expect("in UTC");
    let time: jiff::Timestamp = line[from..=from + end].parse().unwrap();
    time.as_millisecond()
}

/// The same batches into tables of their own, through a proxy as well: one after the other, then four at once; the
/// better of the two.
async fn by_hand(parts: &Parts, stage: &Stage, batches: &[(String, Bytes)]) -> Duration {
    let mut best = Duration::MAX;
    for clients in [1, PARTITIONS as usize] {
        let center = ClickHouse::new(&parts.clickhouse, &own_name("bare"));
        center.tables_by_hand(stage.origin.ids).await;
        let proxy = Proxy::start(9, &parts.clickhouse, Arc::default()).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let requests: Vec<(String, Bytes)> = batches
            .iter()
            .map(|(target, body)| {
                (format!("{}{}", proxy.url(), target.replace(&stage.center.database, &center.database)), body.clone())
            })
            .collect();
        let begun = Instant::now();
        let lanes = (0..clients).map(|lane| {
            let (client, mine) =
                (client.clone(), requests.iter().skip(lane).step_by(clients).cloned().collect::<Vec<_>>());
            tokio::spawn(async move {
                for (url, body) in mine {
                    let answer = client.post(url).body(body).send().await.unwrap();
                    let status = answer.status();
                    assert!(status.is_success(), "{}", answer.text().await.unwrap());
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.unwrap();
        }
        best = best.min(begun.elapsed());
        let rows = |database: &str| format!("SELECT toString(count()) FROM {database}.events");
        let held = center.number(&rows(&center.database)).await;
        assert_eq!(held, stage.center.number(&rows(&stage.center.database)).await, "the same rows");
        center.drop_database().await;
    }
    best
}
