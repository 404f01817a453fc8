//! An event may have come to Kafka though nobody heard so, and then an outage lasts longer than ids are remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use edgefeed::clock::now_ms;
use edgefeed::world::partition_of;
use edgefeed_storage::model::{IdKind, Topic};
use edgefeed_sync::{EmbeddedBroker, Producer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::Http;
use super::town;
use crate::center::log::Ids;
use crate::center::node::{Node, PATIENCE, Settings};
use crate::compare;
use crate::log::{PARTITIONS, topic_name};
use crate::real::steps::until;

const READER: u128 = 100;
const HOUR: i64 = 3_600_000;

fn settings(brokers: &str) -> Settings {
    Settings {
        ids: Ids::U64,
        cluster: "town".to_owned(),
        brokers: brokers.to_owned(),
        topics: "cdc.".to_owned(),
        roles: r#"["serve"]"#,
        url: String::new(),
        database: "none".to_owned(),
        group: "none".to_owned(),
        more: BTreeMap::from([
            (("storage", "dedup_hours"), "1".to_owned()),
            (("spool", "ack_timeout_ms"), "200".to_owned()),
            (("limits", "subject_per_s"), "0".to_owned()),
            (("kafka.topics", "events"), "\"events\"".to_owned()),
        ]),
    }
}

fn like(id: Uuid, post: u128, time_ms: i64) -> Value {
    json!({ "event_id": id.to_string(), "event_time": time_ms, "post_id": post as u64, "action": "like" })
}

async fn depth(node: &Node) -> Option<u64> {
    node.status().await?["spool"]["depth"].as_u64()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_to_kafka_unheard_of_is_not_sent_again_however_long_ago_that_was() {
    let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let broker = EmbeddedBroker::start(&topics, PARTITIONS.cast_signed()).unwrap();
    let address = broker.address().unwrap();
    town::write(&address, "cdc.", std::iter::once(READER));

    // Nobody listens there: Kafka is away.
    let mut node = Node::new(settings("127.0.0.1:1"));
    node.start();
    let http = Http::of(node.http);
    let (unheard, unsent) = (Uuid::new_v4(), Uuid::new_v4());
    let then = now_ms() - 4 * HOUR;
    let events = [like(unheard, town::post(1), then), like(unsent, town::post(2), then)];
    let posted = until(PATIENCE, async || http.try_post(READER, &events).await).await.expect("an answer");
    posted.position(2);
    assert_eq!(posted.body["spooled"], true);
    assert_eq!(depth(&node).await, Some(2));
    node.kill();

    // The first has come to Kafka, three hours ago. Since then its partition has seen others, and its id is forgotten.
    let partition = Some(partition_of(READER.to_string().as_bytes(), PARTITIONS).cast_signed());
    let producer = Producer::connect(&address).unwrap();
    let mut landed = like(unheard, town::post(1), then);
    landed["user_id"] = json!(READER as u64);
    landed["author_id"] = json!(town::author_of(town::post(1)) as u64);
    let mut other = town::event(town::post(3), "view");
    other["user_id"] = json!(7);
    other["event_time"] = json!(now_ms());
    for (record, time_ms) in [(&landed, then + HOUR), (&other, now_ms())] {
        let value = record.to_string().into_bytes();
        producer.send("events", partition, READER.to_string().as_bytes(), Some(&value), Some(time_ms)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();

    node.settings.brokers = address;
    node.start_ready().await;
    let sent = until(PATIENCE, async || (depth(&node).await == Some(0)).then_some(())).await;
    assert!(sent.is_some(), "{:#}", node.status().await.unwrap()["spool"]);
    assert_eq!(node.sum("edgefeed_spool_sent_total").await, 1.0, "only what never came to Kafka is sent");
    assert_eq!(node.sum("edgefeed_dedup_hits_total").await, 0.0);
    // Long enough for whoever would send once more.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = node.status().await.unwrap();
    let partitions = status["ingest"]["topics"]["events"]["partitions"].as_object().unwrap().clone();
    let records: i64 = partitions.values().filter_map(|known| known["next_offset"].as_i64()).sum();
    assert_eq!(records, 3, "{status:#}");
    node.terminate().await;
    let mut likes = BTreeMap::new();
    let store = compare::open(&node.store(), IdKind::U64);
    store.each_post_hour(|post, _, sum| *likes.entry(post.0).or_default() += sum.likes).unwrap();
    likes.retain(|_, count: &mut u32| *count > 0);
    assert_eq!(likes, BTreeMap::from([(town::post(1), 1), (town::post(2), 1)]));
}
