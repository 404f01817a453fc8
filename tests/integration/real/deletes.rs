//! What was deleted does not come back, however often the log is read.

use std::time::Duration;

use edgefeed_storage::model::IdKind;
use edgefeed_sync::Producer;

use super::events::now_ms;
use super::kafka_log::{applied, records};
use super::node::Node;
use super::place::Place;
use super::stack::Stack;
use super::steps::Steps;
use crate::oracle::LogRecord;

/// Puts records behind what is there, as a topic that is copied or replayed has them.
fn replay(place: &Place, records: Vec<LogRecord>) {
    let producer = Producer::connect(&place.stack.kafka).unwrap();
    for record in records {
        let topic = place.topic(record.topic.strip_prefix("cdc.").unwrap());
        let partition = Some(i32::try_from(record.partition).unwrap());
        producer.send(&topic, partition, &record.key.unwrap(), record.value.as_deref(), None).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_post_stays_away_after_a_replay_and_a_restart() {
    const PROMISE: &str = "a deleted post stays away after a replay and a restart";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let steps = Steps::of(PROMISE);
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let (ann, ben) = (place.id(), place.id());
    let [kept, marked, gone, liked] = [0; 4].map(|_| place.id());
    let now = now_ms();
    let rows = [kept, marked, gone].map(|post| place.post_row(post, ben, now - 60_000));
    place.database.run(place.follow_row(ann, ben) + &rows.concat()).await;
    place.connect();
    let node = Node::ready(&place, "store").await;
    let reader = node.reader(&place, ann);
    place.database.run(place.post_row(liked, ben, now - 30_000) + &place.like_row(ann, liked)).await;
    reader.sees(&steps, "four posts", |page| page.is(&[kept, marked, gone, liked])).await;

    // Of a time when nothing was deleted: without the deletes behind them, these would bring everything back.
    let earlier = records(&place);
    let mark = format!("UPDATE posts SET deleted_at = now() WHERE id = '{}'", place.text(marked));
    place.database.run(mark).await;
    reader.sees(&steps, "a soft delete", |page| page.is(&[kept, gone, liked])).await;
    let text = place.text(liked);
    let remove = format!("DELETE FROM likes WHERE post_id = '{text}'; DELETE FROM posts WHERE id = '{text}'");
    place.database.run(remove).await;
    reader.sees(&steps, "a delete", |page| page.is(&[kept, gone])).await;
    place.database.run(format!("DELETE FROM posts WHERE id = '{}'", place.text(gone))).await;
    reader.sees(&steps, "a delete of a row from before the connector", |page| page.is(&[kept])).await;

    replay(&place, earlier);
    let log = records(&place);
    applied(&node, &log).await;
    assert!(reader.feed().await.is(&[kept]), "after the replay");
    node.kill();
    let node = Node::ready(&place, "store").await;
    assert!(node.reader(&place, ann).feed().await.is(&[kept]), "after a restart");
    let fresh = Node::ready(&place, "another store").await;
    applied(&fresh, &log).await;
    assert!(fresh.reader(&place, ann).feed().await.is(&[kept]), "on a node that reads everything from the start");
}
