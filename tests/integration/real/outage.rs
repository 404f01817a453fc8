//! Kafka away: readers go on being answered and are told how old the answer is; when it is back, so is everything.

use std::time::{Duration, Instant};

use edgefeed_storage::model::IdKind;

use super::events::{Event, Events, now_ms};
use super::node::Node;
use super::place::Place;
use super::reader::Reader;
use super::stack::Stack;
use super::steps::{Steps, until};

/// Long enough that every wait of the node on Kafka has come to its end at least once.
const WATCHED: Duration = Duration::from_secs(5);
/// Debezium and the node both have to find Kafka again.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// A node in contact is never older than a few rounds of asking.
const FRESH_MS: u64 = 2_000;

/// Kafka is away as long as this lives: a test that fails must not fail the others.
struct Away<'a>(&'a Stack);

impl<'a> Away<'a> {
    fn begin(stack: &'a Stack) -> Self {
        stack.run("kafka-stop", &[]);
        Self(stack)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        if let Err(why) = self.0.attempt("kafka-start", &[]) {
            eprintln!("Kafka does not come back: {why}");
        }
    }
}

async fn staleness_ms(reader: &Reader) -> u64 {
    let answer = reader.ask().await;
    assert_eq!(answer.headers()["x-feed-source"], "local");
    answer.headers()["x-feed-staleness-ms"].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_away_feeds_are_served_with_their_age_and_catch_up_later() {
    const PROMISE: &str = "with Kafka away feeds are served with their age and catch up later";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let steps = Steps::of(PROMISE);
    let mut place = Place::alone(stack, IdKind::Uuid).await;
    let (ann, ben) = (place.id(), place.id());
    let [old, new] = [0; 2].map(|_| place.id());
    let now = now_ms();
    place.database.run(place.follow_row(ann, ben) + &place.post_row(old, ben, now - 60_000)).await;
    place.connect();
    let node = Node::ready(&place, "store").await;
    let reader = node.reader(&place, ann);
    let fresh = async || (staleness_ms(&reader).await < FRESH_MS).then_some(());
    assert!(until(BACK_WITHIN, fresh).await.is_some(), "a node in contact is fresh");

    let outage = Away::begin(&place.stack);
    let away = Instant::now();
    place.database.run(place.post_row(new, ben, now - 30_000)).await;
    let mut ages = Vec::new();
    while away.elapsed() < WATCHED {
        let at_least = u64::try_from(away.elapsed().as_millis()).unwrap();
        let age = staleness_ms(&reader).await;
        assert!(age >= at_least, "{age} ms old, and Kafka has been away for {at_least} ms");
        ages.push(age);
        let page = reader.feed().await;
        assert!(page.is(&[old]) && page.freshness.staleness_ms >= age, "the body tells the same");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ages.is_sorted_by(|one, next| one < next), "the age rises all the while: {ages:?}");

    drop(outage);
    let back = Instant::now();
    let caught_up = async || reader.feed().await.is(&[old, new]).then_some(());
    assert!(until(BACK_WITHIN, caught_up).await.is_some(), "what was written meanwhile is not seen");
    println!("seen {:?} after Kafka was back", back.elapsed());
    assert!(until(BACK_WITHIN, fresh).await.is_some(), "the age does not fall again");
    println!("fresh {:?} after Kafka was back", back.elapsed());

    // And from then on everything is as before.
    place.database.run(format!("DELETE FROM posts WHERE id = '{}'", place.text(new))).await;
    reader.sees(&steps, "a delete after the outage", |page| page.is(&[old])).await;
    let events = Events::into(&place);
    let event = Event { id: uuid::Uuid::new_v4(), time_ms: now, user: ann, post: old, author: ben, action: "hide" };
    events.send(&event);
    events.delivered();
    reader.sees(&steps, "a hide after the outage", |page| page.is(&[])).await;
}
