//! A topic may grow: partitions added while the node runs are read like the others.

use std::time::{Duration, Instant};

use edgefeed_storage::model::IdKind;

use super::events::{Event, Events, now_ms};
use super::kafka_log::{applied, next_offset, records};
use super::node::Node;
use super::place::Place;
use super::stack::Stack;
use super::steps::{Steps, until};

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_the_node_runs_are_read() {
    const PROMISE: &str = "partitions added while the node runs are read";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let steps = Steps::of(PROMISE);
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let (ann, ben) = (place.id(), place.id());
    let [kept, hidden, last] = [0; 3].map(|_| place.id());
    let now = now_ms();
    let posts = [kept, hidden, last].map(|post| place.post_row(post, ben, now - 60_000));
    place.database.run(place.follow_row(ann, ben) + &posts.concat()).await;
    place.connect();
    let node = Node::ready_with(&place, "store", &["kafka.metadata_refresh_ms=3000"]).await;
    let reader = node.reader(&place, ann);
    assert!(reader.feed().await.is(&[kept, hidden, last]));

    place.stack.ask_kafka(&["grow", &place.topic("events"), "6"]);
    let event = |post, action| Event { id: uuid::Uuid::new_v4(), time_ms: now, user: ann, post, author: ben, action };
    // A producer that connects now knows all six.
    let events = Events::into(&place);
    events.send_to(Some(5), &event(hidden, "hide"));
    events.delivered();
    // What is new to the node is no reason to know no age any more; asked as often as it answers, or this is not seen.
    let met = async || {
        let status = node.status().await.unwrap();
        assert!(status["ingest"]["staleness_ms"].is_u64(), "a node in contact knows its age: {status:#}");
        Some(()).filter(|()| next_offset(&status, "events", 5) > 0)
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while met().await.is_none() {
        assert!(Instant::now() < deadline, "the new partition is not read");
    }
    reader.sees(&steps, "a hide in a new partition", |page| page.is(&[kept, last])).await;
    let known = async || {
        let status = node.status().await?;
        status["ingest"]["topics"]["events"]["partitions"]["4"].is_object().then_some(status)
    };
    let status = until(Duration::from_secs(5), known).await.unwrap();
    assert_eq!(next_offset(&status, "events", 5), 1);

    // The old ones are read on, the new ones are remembered over a restart.
    events.send_to(Some(0), &event(last, "hide"));
    events.delivered();
    reader.sees(&steps, "a hide in an old partition", |page| page.is(&[kept])).await;
    node.kill();
    events.send_to(Some(5), &event(kept, "hide"));
    events.delivered();
    let node = Node::ready(&place, "store").await;
    applied(&node, &records(&place)).await;
    assert!(node.reader(&place, ann).feed().await.is(&[]));
}
