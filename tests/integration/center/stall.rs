//! What must not be guessed stalls the sink, loudly and without loss, until somebody mends it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::compare::{self};
use super::fold::Fold;
use super::log::{Author, DAY, HOUR, Ids, Shape, Source};
use super::node::PATIENCE;
use super::parts::{Parts, busy};
use super::stage::{Member, Stage};
use super::writer::Writer;
use crate::real::events::now_ms;
use crate::real::steps::until;

const PARTITIONS: u32 = 2;
const RATE: f64 = 4_000.0;
/// Long enough that a sink which does not stall would have committed several times.
const WATCHED: Duration = Duration::from_secs(2);

fn writer(stage: &Stage, events: usize, changes: usize) -> Writer {
    let to_ms = now_ms();
    let shape = Shape {
        ids: stage.origin.ids,
        partitions: stage.topics.partitions,
        events,
        changes,
        from_ms: to_ms - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    Writer::start(Arc::clone(&stage.topics), Author::new(shape, 5), RATE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_under_the_sink_stalls_it_loudly_and_nothing_is_missing_once_it_is_back() {
    let promise = "a table dropped under the sink stalls it loudly and nothing is missing once it is back";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let stage = Stage::new(&parts, "stall", Ids::U64, PARTITIONS).await;
    let mut member = stage.member(0).await;
    member.node.start_ready().await;
    let writer = writer(&stage, 1_000, 2_000);
    writer.allow(1_000);
    writer.idle().await;
    stage.drained(&writer.ends()).await;

    stage.center.run("DROP TABLE DB.likes_cdc SYNC").await;
    let at_drop = writer.ends();
    let before = writer.written().log.len();
    writer.allow(1_000);
    writer.idle().await;
    let labels = member.stalls("likes", &["schema", "preflight"]).await;
    assert!(labels.contains("table=\"likes_cdc\""), "it names the table: {labels}");
    let mut status = String::new();
    let told = until(PATIENCE, async || {
        status = member.node.status().await?["sink"].to_string();
        (status.contains("likes_cdc") && status.contains("schema")).then_some(())
    });
    assert!(told.await.is_some(), "/status does not tell: {status}");
    let log = member.node.log();
    let told = log.lines().any(|line| line.contains("likes_cdc") && (line.contains("ERROR") || line.contains("WARN")));
    assert!(told, "the log tells");
    // The others go on.
    let likes = |place: &(Source, u32)| place.0 == Source::Likes;
    let others = writer.ends().into_iter().filter(|(place, _)| !likes(place)).collect();
    stage.drained(&others).await;
    tokio::time::sleep(WATCHED).await;
    let committed = stage.topics.committed(&stage.group);
    for (place, end) in at_drop.iter().filter(|(place, _)| likes(place)) {
        assert_eq!(committed.get(place).map(|held| held.offset), Some(*end), "{place:?}: nothing is committed");
    }

    stage.migrate();
    stage.drained(&writer.ends()).await;
    member.flows().await;
    // What stood in the table that was dropped went with it.
    let log = writer.finish();
    let kept = log.iter().enumerate().filter(|(at, entry)| entry.source != Source::Likes || *at >= before);
    let fold = Fold::of(kept.map(|(_, entry)| entry));
    compare::everything(&stage.center, &stage.origin, &fold).await;
    stage.check_inserts();
    stage.center.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_lost_its_offsets_refuses_to_guess_and_resumes_exactly_from_the_center() {
    let promise = "a group that lost its offsets refuses to guess and resumes exactly from the center";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let stage = Stage::new(&parts, "lost", Ids::Uuid, PARTITIONS).await;
    let mut member = stage.member(0).await;
    member.node.start_ready().await;
    let writer = writer(&stage, 3_000, 1_000);
    writer.allow(2_000);
    writer.idle().await;
    stage.drained(&writer.ends()).await;
    member.leave().await;
    stage.topics.delete_group(&stage.group);
    assert!(stage.topics.committed(&stage.group).is_empty());

    let held = stage.center.number("SELECT toString(count()) FROM DB.events").await;
    writer.allow(2_000);
    writer.idle().await;
    member.node.start_ready().await;
    member.stalls("events", &["no_commit"]).await;
    tokio::time::sleep(WATCHED).await;
    let committed = stage.topics.committed(&stage.group);
    assert!(committed.keys().all(|place| place.0 != Source::Events), "nothing is committed: {committed:?}");
    assert_eq!(stage.center.number("SELECT toString(count()) FROM DB.events").await, held, "nothing is inserted");
    let (_, status) = member.node.verb(&["sink", "status", "--output", "json"]);
    assert!(status.contains("no_commit"), "sink status tells: {status}");
    let lag = member.node.metric("edgefeed_sink_lag_seconds").await;
    let of_events = lag.iter().find(|(labels, _)| labels.contains("events")).map(|(_, seconds)| *seconds);
    assert!(of_events.is_some_and(|seconds| seconds > 1.0), "what stands still grows older: {lag:?}");

    member.node.must(&["sink", "resume", "--from", "center"]);
    stage.drained(&writer.ends()).await;
    member.flows().await;
    told(&member).await;
    let log = writer.finish();
    stage.check(&log, &BTreeSet::new()).await;
    stage.center.drop_database().await;
}

/// Every promised number of the way to the center is there, with its labels.
async fn told(member: &Member) {
    for (name, labels) in [
        ("rows_total", &["table"][..]),
        ("insert_duration_seconds_count", &[]),
        ("lag_seconds", &["topic"]),
        ("retries_total", &[]),
        ("stalled", &["table", "reason"]),
        ("token_replays_total", &[]),
    ] {
        let samples = member.node.metric(&format!("edgefeed_sink_{name}")).await;
        let whole = |(of, _): &(String, f64)| labels.iter().all(|label| of.contains(&format!("{label}=")));
        assert!(!samples.is_empty() && samples.iter().all(whole), "{name}: {samples:?}");
    }
}
