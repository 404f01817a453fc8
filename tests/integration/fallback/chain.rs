//! A node that holds the world as PostgreSQL does, and a chain that goes from one to the other.

use std::collections::BTreeMap;
use std::time::Duration;

use edgefeed::clock::now_ms;
use edgefeed::config::Config;
use edgefeed::fallback::Policy;
use edgefeed_storage::model::{Id, IdKind};
use edgefeed_sync::{EmbeddedBroker, Producer};
use serde_json::{Value, json};

use super::application::{Application, Post, newest_first};
use super::edge::Edge;
use crate::real::stack::Stack;
use crate::real::steps::until;

const PROMISE: &str = "a chain that PostgreSQL began goes on in the store";
const PATIENCE: Duration = Duration::from_secs(30);
const TOPICS: [&str; 5] = ["events", "cdc.posts", "cdc.follows", "cdc.comments", "cdc.likes"];
const POSTS: i64 = 40;

/// One world, in PostgreSQL and in Kafka.
struct Both {
    application: Application,
    broker: EmbeddedBroker,
    producer: Producer,
    reader: Id,
    /// Newest first.
    posts: Vec<Post>,
}

impl Both {
    async fn build(stack: &Stack) -> Self {
        let application = Application::new(stack, IdKind::U64).await;
        let broker = EmbeddedBroker::start(&TOPICS, 1).unwrap();
        let producer = Producer::connect(&broker.address().unwrap()).unwrap();
        let (reader, author) = (application.id(), application.id());
        application.follow(reader, author).await;
        let start = now_ms() - 60_000;
        let post = |n: i64| Post { id: application.id(), author, created_us: (start - n * 1_000) * 1_000 + n };
        let mut posts: Vec<Post> = (0..POSTS).map(post).collect();
        newest_first(&mut posts);
        application.write(&posts, false).await;
        let both = Self { application, broker, producer, reader, posts };
        both.row("follows", &json!({ "follower_id": number(reader), "following_id": number(author) }));
        for post in &both.posts {
            let created_at = edgefeed::feed::rfc3339(post.created_us / 1_000);
            let (id, author) = (number(post.id), number(post.author));
            both.row("posts", &json!({ "id": id, "user_id": author, "created_at": created_at }));
        }
        both
    }

    /// A row as the change stream tells it.
    fn row(&self, table: &str, after: &Value) {
        let value = json!({ "table": table, "op": "c", "ts_ms": now_ms(), "before": null, "after": after });
        self.send(&format!("cdc.{table}"), after, &value);
    }

    fn send(&self, topic: &str, key: &Value, value: &Value) {
        let (key, value) = (key.to_string(), value.to_string());
        self.producer.send(topic, Some(0), key.as_bytes(), Some(value.as_bytes()), None).unwrap();
    }

    /// A node that has caught up.
    async fn node(&self, change: impl FnOnce(&mut Config)) -> Edge {
        self.producer.flush(PATIENCE).unwrap();
        let brokers = self.broker.address().unwrap();
        let edge = Edge::start(IdKind::U64, &brokers, &self.application.reader, change).await;
        let lag = edge.node.now().lag.clone();
        assert!(tokio::task::spawn_blocking(move || lag.wait_caught_up(PATIENCE)).await.unwrap());
        let warm = until(PATIENCE, async || (edge.told("/readyz").await["ready"] == true).then_some(()));
        assert!(warm.await.is_some(), "{:#}", edge.told("/readyz").await);
        edge
    }
}

fn number(id: Id) -> u64 {
    u64::try_from(id.0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_postgres_began_goes_on_in_the_store_and_back_and_repeats_nothing() {
    let Some(stack) = Stack::with_postgres_or_unproved(PROMISE) else { return };
    let both = Both::build(&stack).await;
    let (hidden, liked) = (both.posts[3].id, both.posts[1].id);
    let hide = json!({ "event_id": uuid::Uuid::new_v4().to_string(), "event_time": now_ms(), "user_id": number(both.reader),
                       "post_id": number(hidden), "action": "hide" });
    both.send("events", &json!(number(both.reader)), &hide);
    for user in [number(both.reader), 5] {
        both.row("likes", &json!({ "user_id": user, "post_id": number(liked), "created_at": now_ms() }));
    }
    let edge = both
        .node(|config| {
            config.fallback.policy = Policy::Strict;
            config.clickhouse.url = "http://127.0.0.1:1".to_owned();
        })
        .await;
    edge.page(both.reader, "limit=8").await.is_from("local", &["affinity_stale"]);

    edge.force("clickhouse", "open").await;
    let first = edge.page(both.reader, "limit=8").await;
    first.is_from("fallback", &["center_away"]);
    let shown: BTreeMap<u64, &Value> =
        first.body["posts"].as_array().unwrap().iter().map(|post| (post["id"].as_u64().unwrap(), post)).collect();
    let about = shown[&number(liked)];
    assert_eq!((&about["like_count"], &about["viewer_liked"]), (&json!(2), &json!(true)), "the store's counts");

    let mut chain = first.ids(IdKind::U64);
    let mut cursor = first.cursor().unwrap().to_owned();
    for (postgres, source, marks) in [
        ("open", "local", &["affinity_stale", "center_away", "fallback_away"][..]),
        ("open", "local", &["affinity_stale", "center_away", "fallback_away"]),
        ("none", "fallback", &["center_away"]),
        ("open", "local", &["affinity_stale", "center_away", "fallback_away"]),
    ] {
        edge.force("postgres", postgres).await;
        let page = edge.page(both.reader, &format!("limit=8&cursor={cursor}")).await;
        page.is_from(source, marks);
        chain.extend(page.ids(IdKind::U64));
        match page.cursor() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let expected: Vec<Id> = both.posts.iter().map(|post| post.id).filter(|id| *id != hidden).collect();
    assert_eq!(chain, expected, "no post shares a millisecond, so there is not even a gap");

    // The center is back, and so is the formula; a chain begun in PostgreSQL is still its.
    edge.force("clickhouse", "none").await;
    edge.force("postgres", "none").await;
    edge.page(both.reader, "limit=8").await.is_from("local", &["affinity_stale"]);
    let next = edge.page(both.reader, &format!("limit=8&cursor={}", first.cursor().unwrap())).await;
    next.is_from("fallback", &["chain"]);
    assert_eq!(next.ids(IdKind::U64), expected[8..16]);
    edge.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_store_yields_to_postgres_and_answers_marked_where_that_is_away() {
    let Some(stack) = Stack::with_postgres_or_unproved(PROMISE) else { return };
    let both = Both::build(&stack).await;
    let edge = both.node(|config| config.fallback.max_store_age_s = 1).await;
    let Both { application: _application, broker, producer, reader, posts } = both;
    drop((producer, broker));
    let old = until(PATIENCE, async || {
        let page = edge.page(reader, "limit=5").await;
        (page.body["served_from"] == "fallback").then_some(page)
    });
    let page = old.await.expect("Kafka is away, and the store grows old");
    page.is_from("fallback", &["store_old"]);
    assert_eq!(page.ids(IdKind::U64), posts[..5].iter().map(|post| post.id).collect::<Vec<_>>());
    assert_eq!(edge.told("/readyz").await["ready"], true, "age changes who answers, not whether");
    edge.force("postgres", "open").await;
    let page = edge.page(reader, "limit=5").await;
    page.is_from("local", &["fallback_away", "store_old"]);
    assert!(page.body["freshness"]["staleness_ms"].as_i64().unwrap() > 1_000);
    edge.node.stop().await.unwrap();
}
