//! Offsets live in the store. Kafka's consumer groups decide nothing: not one that is there, not one that is gone.

use edgefeed_storage::model::IdKind;

use super::events::{Event, Events, now_ms};
use super::kafka_log::{applied, records};
use super::node::Node;
use super::place::Place;
use super::stack::Stack;
use super::steps::Steps;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_group_made_or_deleted_changes_nothing() {
    const PROMISE: &str = "a consumer group made or deleted changes nothing";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let steps = Steps::of(PROMISE);
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let (ann, ben) = (place.id(), place.id());
    let [first, second, third] = [0; 3].map(|_| place.id());
    let now = now_ms();
    let posts = [first, second, third].map(|post| place.post_row(post, ben, now - 60_000));
    place.database.run(place.follow_row(ann, ben) + &posts.concat()).await;
    place.connect();
    let events = Events::into(&place);
    let hide = |post| {
        let event = Event { id: uuid::Uuid::new_v4(), time_ms: now, user: ann, post, author: ben, action: "hide" };
        events.send(&event);
        events.delivered();
    };
    let node = Node::ready(&place, "store").await;
    let reader = node.reader(&place, ann);
    hide(first);
    reader.sees(&steps, "a hide", |page| page.is(&[second, third])).await;
    let of_node = |group: &&str| group.contains(&place.name);
    let groups = place.stack.ask_kafka(&["groups"]);
    assert_eq!(groups.lines().find(of_node), None, "the node joins no group and commits nothing");

    // Somebody commits in its name: far ahead, so that a node that believed it would miss what comes next.
    let group = format!("{}-materializer", place.name);
    place.stack.ask_kafka(&["commit", &group, &place.topic("events"), "1000"]);
    assert_eq!(place.stack.ask_kafka(&["groups"]).lines().find(of_node), Some(group.as_str()));
    node.kill();
    hide(second);
    let node = Node::ready(&place, "store").await;
    applied(&node, &records(&place)).await;
    let reader = node.reader(&place, ann);
    assert!(reader.feed().await.is(&[third]), "with a group of its name that is far ahead");

    assert_eq!(place.stack.ask_kafka(&["group-delete", &group]).trim(), "deleted");
    assert!(reader.feed().await.is(&[third]), "after the group was deleted");
    hide(third);
    reader.sees(&steps, "a hide without the group", |page| page.is(&[])).await;
    assert_eq!(place.stack.ask_kafka(&["groups"]).lines().find(of_node), None, "and none has come of it");
}
