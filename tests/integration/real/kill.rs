//! `kill -9` in the middle of everything: nothing is lost and nothing counts twice.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::IdKind;

use super::events::{Event, Events, now_ms};
use super::kafka_log::{applied, next_offset, oracle};
use super::node::Node;
use super::place::Place;
use super::stack::Stack;
use super::steps::until;
use super::town::Town;
use super::whole_feeds::agree;

const KILLS: usize = 3;

/// Events applied so far, in all four partitions.
async fn events_applied(node: &Node) -> i64 {
    let Some(status) = node.status().await else { return 0 };
    (0..4).map(|partition| next_offset(&status, "events", partition)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_in_the_middle_loses_nothing_and_counts_nothing_twice() {
    const PROMISE: &str = "a node killed in the middle loses nothing and counts nothing twice";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let mut town = Town::new(&place, 11);
    let [before, after] = town.rows(&place);
    place.database.run(before).await;
    place.connect();
    place.database.run(after).await;
    let events = Arc::new(Events::into(&place));
    for _ in 0..KILLS {
        let node = Node::ready(&place, "store").await;
        let begun = events_applied(&node).await;
        let batch = town.events(6_000);
        let sender = {
            let events = Arc::clone(&events);
            tokio::task::spawn_blocking(move || pour(&events, &batch))
        };
        place.database.run(town.changes(&place)).await;
        let some = async || (events_applied(&node).await > begun + 1_000).then_some(());
        assert!(until(Duration::from_secs(10), some).await.is_some(), "the node applies nothing");
        node.kill();
        assert!(!sender.is_finished(), "the node was not killed in the middle of anything");
        place.database.run(town.changes(&place)).await;
        sender.await.unwrap();
    }
    let node = Node::ready(&place, "store").await;
    let log = place.settled().await;
    applied(&node, &log).await;
    let oracle = oracle(&place, &log, now_ms());
    agree(&node, &place, &town.users, &oracle).await;
    println!("{} records, {KILLS} kills", log.len());
}

/// Sends in small helpings, so that the node meets them for a while.
fn pour(events: &Events, batch: &[Event]) {
    for some in batch.chunks(100) {
        some.iter().for_each(|event| events.send(event));
        events.delivered();
    }
}
