//! An offset says where a record stands in one log, and only there: equal names and numbers of another log, or of a topic
//! made anew, are other records.

use std::sync::Arc;

use edgefeed_sync::EmbeddedBroker;

use super::clickhouse::ClickHouse;
use super::compare;
use super::fold::Fold;
use super::kafka::Topics;
use super::log::{Author, DAY, HOUR, Ids, Shape, Source};
use super::parts::{Parts, busy, own_name};
use super::stage::Stage;
use super::writer::Writer;
use crate::real::events::now_ms;

const PARTITIONS: u32 = 2;
const EVENTS: usize = 2_000;
const RATE: f64 = 4_000.0;

fn author(seed: u64) -> Author {
    let to_ms = now_ms();
    let shape = Shape {
        ids: Ids::U64,
        partitions: PARTITIONS,
        events: EVENTS,
        changes: 0,
        from_ms: to_ms - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    Author::new(shape, seed)
}

async fn written(topics: &Arc<Topics>, seed: u64) -> Writer {
    let writer = Writer::start(Arc::clone(topics), author(seed), RATE);
    writer.allow(EVENTS);
    writer.idle().await;
    writer
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_with_equal_topics_and_offsets_are_both_at_the_center() {
    let promise = "two clusters with equal topics and offsets are both at the center";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let one = Stage::new(&parts, "east", Ids::U64, PARTITIONS).await;
    let names = one.topics.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let broker = EmbeddedBroker::start(&names, PARTITIONS.cast_signed()).unwrap();
    let topics = Topics::on(&broker.address().unwrap(), &one.topics.prefix, PARTITIONS, false);
    let center = ClickHouse::new(&one.center.url, &one.center.database);
    let mut other = Stage::over(center, Arc::new(topics), Ids::U64, &own_name("west"));
    // The same group as well: only the cluster's name tells them apart.
    other.group.clone_from(&one.group);

    let (first, second) = (written(&one.topics, 21).await, written(&other.topics, 22).await);
    let mut members = [one.member(0).await, other.member(1).await];
    // The embedded broker lets a group wait 3 s for more members, and counts that as silence.
    members[1].node.settings.more.insert(("sink", "session_timeout_ms"), "10000".to_owned());
    for member in &mut members {
        member.node.start_ready().await;
    }
    one.drained(&first.ends()).await;
    other.drained(&second.ends()).await;
    let (first, second) = (Fold::of(&first.written().log), Fold::of(&second.written().log));
    let common = first.events.keys().filter(|place| second.events.contains_key(*place)).count();
    assert!(common > EVENTS / 2, "the same places in both logs: {common}");
    compare::events(&one.center, &one.origin, &first).await;
    compare::events(&other.center, &other.origin, &second).await;
    compare::views(&one.center, Ids::U64, &first.and_views_of(&second)).await;
    compare::views_against_events(&one.center).await;
    one.check_inserts();
    one.center.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_another_log_once_somebody_says_so() {
    let promise = "a topic made anew is another log once somebody says so";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let stage = Stage::new(&parts, "anew", Ids::U64, PARTITIONS).await;
    let mut member = stage.member(0).await;
    member.node.start_ready().await;
    let first = written(&stage.topics, 31).await;
    stage.drained(&first.ends()).await;
    member.leave().await;
    drop(member);

    stage.topics.recreate(&[Source::Events]);
    let second = written(&stage.topics, 32).await;
    // A new store, as an operator takes one for another log; the group and the center are the old ones.
    let mut member = stage.member(1).await;
    member.node.start_ready().await;
    let reasons = ["no_commit", "beyond_log_end", "range_lost", "foreign_commit", "marks_incomplete"];
    let labels = member.stalls("events", &reasons).await;
    println!("a topic made anew stalls with {labels}");
    let held = stage.center.number("SELECT toString(count()) FROM DB.events").await;
    assert_eq!(held, Fold::of(&first.written().log).events.len() as u64, "nothing of the new topic is guessed in");

    member.node.must(&["sink", "resume", "--from", "earliest", "--accept-reset"]);
    stage.drained(&second.ends()).await;
    member.flows().await;
    let again = compare::Origin { epoch: 1, ..stage.origin.clone() };
    let (first, second) = (Fold::of(&first.written().log), Fold::of(&second.written().log));
    compare::events(&stage.center, &stage.origin, &first).await;
    compare::events(&stage.center, &again, &second).await;
    compare::views(&stage.center, Ids::U64, &first.clone().and_views_of(&second)).await;
    compare::views_against_events(&stage.center).await;
    stage.check_inserts();
    stage.center.drop_database().await;
}
