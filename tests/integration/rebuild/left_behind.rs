//! Kafka's retention overtakes a node that was stopped: it says GAP, and fills it in from the center where it may.

use std::sync::Arc;

use edgefeed_storage::model::Id;

use super::{PARTITIONS, RATE, RETENTION, author, member, same};
use crate::center::log::{Ids, USERS};
use crate::center::node::PATIENCE;
use crate::center::parts::{Parts, busy};
use crate::center::stage::Stage;
use crate::center::writer::Writer;
use crate::crash::dice::{Dice, times};
use crate::real::events::now_ms;
use crate::real::steps::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_kafka_left_behind_says_gap_and_ends_as_the_oracle_has_it() {
    let promise = "a node that Kafka left behind says GAP and ends as the oracle has it";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let seed = Dice::of_run().seed;
    println!("EDGEFEED_SEED={seed}");
    let ids = if seed.is_multiple_of(2) { Ids::U64 } else { Ids::Uuid };
    let (events, changes) = (times("EDGEFEED_EVENTS", 6_000), times("EDGEFEED_CHANGES", 3_000));
    let stage = Stage::new(&parts, "behind", ids, PARTITIONS).await;
    let writer = Writer::start(Arc::clone(&stage.topics), author(ids, events, changes, seed), RATE);
    let readers: Vec<Id> = (0..USERS).map(|number| Id(writer.written().author.user(number))).collect();
    let mut whole = member(&stage, 0).await;
    let (mut slept, mut forbidden) = (member(&stage, 1).await, member(&stage, 2).await);
    for member in [&mut slept, &mut forbidden] {
        // Partitions of a member that sleeps would wait for it.
        member.node.settings.roles = r#"["serve"]"#;
    }
    forbidden.node.settings.more.insert(("resync", "auto"), "false".to_owned());
    for member in [&mut whole, &mut slept, &mut forbidden] {
        member.node.start_ready().await;
    }
    writer.allow((events + changes) / 3);
    writer.idle().await;
    super::built::both_applied(&[&whole.node, &slept.node, &forbidden.node], &writer).await;
    slept.leave().await;
    forbidden.leave().await;
    writer.allow((events + changes) / 3);
    writer.idle().await;
    stage.drained(&writer.ends()).await;
    stage.topics.expire(RETENTION);
    stage.topics.keep();
    writer.allow((events + changes) / 3);
    writer.idle().await;

    forbidden.node.start_ready().await;
    let step = async |node: &crate::center::node::Node| {
        node.status().await.map(|status| status["rejoin"]["step"].as_str().unwrap_or_default().to_owned())
    };
    let said = until(PATIENCE, async || (step(&forbidden.node).await.as_deref() == Some("gap")).then_some(())).await;
    assert!(said.is_some(), "{:?}", forbidden.node.status().await);
    assert!(forbidden.node.log().contains("GAP"));
    assert!(!forbidden.node.store().join("epoch-1").exists(), "nobody allowed it");

    slept.node.start();
    let done = until(PATIENCE * 2, async || {
        let status = slept.node.status().await?;
        let (resync, lag) = (&status["resync"], &status["ingest"]);
        assert_eq!(resync["error"], serde_json::Value::Null, "{lag}");
        (resync["outcome"]["epoch"] == 1).then_some(())
    });
    assert!(done.await.is_some(), "{:?}", slept.node.status().await);
    assert!(slept.node.log().contains("GAP"));
    super::built::both_applied(&[&whole.node, &slept.node], &writer).await;
    for member in [&mut whole, &mut slept, &mut forbidden] {
        member.leave().await;
    }
    let (log, now) = (writer.finish(), now_ms());
    let (whole_store, whole_feed) = same::open(&whole.node.store(), ids, now);
    let (slept_store, slept_feed) = same::open(&slept.node.store(), ids, now);
    same::facts(&whole_store, &slept_store, &readers, now);
    same::feeds(&whole_feed, &slept_feed, readers.iter().copied(), now);
    let oracle = same::oracle(ids, &log, now);
    crate::compare::feeds(&slept_store, &slept_feed, &oracle, readers.iter().copied(), now);
    stage.center.drop_database().await;
}
