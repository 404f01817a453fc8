//! A node that slept longer than its group waits, as a suspended machine does, is a good node again once it is awake.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::log::{Author, DAY, HOUR, Ids, Shape};
use super::node::PATIENCE;
use super::parts::{Parts, busy};
use super::stage::Stage;
use super::writer::Writer;
use crate::real::events::now_ms;
use crate::real::steps::until;

const PARTITIONS: u32 = 2;
const RATE: f64 = 4_000.0;
/// Written with each sleep.
const SLICE: usize = 400;
const SLEEPS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_takes_its_share_again_whether_its_group_knows_it_by_name_or_not() {
    let promise = "a node that slept takes its share again, whether its group knows it by name or not";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    for named in [false, true] {
        sleeps_and_wakes(&parts, named).await;
    }
}

async fn sleeps_and_wakes(parts: &Parts, named: bool) {
    let stage = Stage::new(parts, "sleeper", Ids::U64, PARTITIONS).await;
    let to_ms = now_ms();
    let shape = Shape {
        ids: Ids::U64,
        partitions: PARTITIONS,
        events: 2 * SLICE * SLEEPS,
        changes: SLICE,
        from_ms: to_ms - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, 9), RATE);
    let mut members = [stage.member(0).await, stage.member(1).await];
    for member in &mut members {
        if named {
            let name = format!("\"node-{}\"", member.number);
            member.node.settings.more.insert(("node", "name"), name);
        }
        member.node.start_ready().await;
    }
    let [sleeper, other] = &mut members;
    for sleep in 1..=SLEEPS {
        writer.allow(SLICE);
        writer.idle().await;
        sleeper.node.freeze();
        // The other has everything by then: the sleeper has missed its session.
        writer.allow(SLICE);
        writer.idle().await;
        stage.drained(&writer.ends()).await;
        sleeper.node.thaw();
        // It does not know yet that it lost its share, and has records at once.
        let before = sent_by(&stage, sleeper.number);
        writer.allow(SLICE);
        writer.idle().await;
        stage.drained(&writer.ends()).await;
        let again = until(PATIENCE, async || {
            writer.allow(4);
            (sent_by(&stage, sleeper.number) > before).then_some(())
        });
        assert!(
            again.await.is_some(),
            "named {named}, sleep {sleep}: awake, and it has no share:\n{}",
            sleeper.node.log()
        );
    }
    // And alone it has everything.
    other.leave().await;
    writer.allow(SLICE);
    writer.idle().await;
    stage.drained(&writer.ends()).await;
    sleeper.node.must_run();
    stage.check(&writer.finish(), &BTreeSet::new()).await;
    stage.center.drop_database().await;
}

fn sent_by(stage: &Stage, node: usize) -> usize {
    stage.control.seen(|seen| seen.tokens.values().flatten().filter(|sent| sent.node == node).count())
}
