//! The page over HTTP is the contract's formula applied to what stands in Kafka: same posts, same order, same numbers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use edgefeed_storage::model::{Id, IdKind};

use super::events::{Events, now_ms};
use super::kafka_log::{applied, oracle};
use super::node::Node;
use super::place::Place;
use super::reader::{Page, Post};
use super::stack::Stack;
use super::steps::until;
use super::town::Town;
use crate::oracle::{Oracle, OracleAlgo, OraclePost};

/// Trending posts are found anew once a second.
const TRENDING_WITHIN: Duration = Duration::from_secs(5);

fn trending<T>(posts: &[T], of: impl Fn(&T) -> Option<Id>) -> BTreeSet<Id> {
    posts.iter().filter_map(of).collect()
}

/// Holds the feeds of all users against the oracle, each as of the time its answer names.
pub(crate) async fn agree(node: &Node, place: &Place, users: &[Id], oracle: &Oracle) {
    let mut shown = 0;
    for user in users {
        let reader = node.reader(place, *user);
        let mut last = None;
        // Whatever it looks like after the wait is held against the oracle.
        let _ = until(TRENDING_WITHIN, async || {
            let page = reader.feed().await;
            let expected = oracle.feed(*user, page.ranked_at, OracleAlgo::Ranked);
            let found = trending(&page.posts, |post| post.sources.iter().any(|s| s == "trending").then_some(post.id));
            let wanted = trending(&expected, |post| post.sources.contains(&"trending").then_some(post.id));
            last = Some((page, expected));
            (found == wanted).then_some(())
        })
        .await;
        let (page, expected) = last.unwrap();
        assert_eq!((page.served_from.as_str(), page.degraded.as_slice()), ("local", [].as_slice()));
        same(&page, &expected, &place.text(*user));
        shown += expected.len();
    }
    assert!(shown > 5 * users.len(), "{shown} posts in {} feeds prove little", users.len());
}

fn same(page: &Page, expected: &[OraclePost], who: &str) {
    let found: Vec<Id> = page.posts.iter().map(|post| post.id).collect();
    let wanted: Vec<Id> = expected.iter().map(|post| post.id).collect();
    assert_eq!(found, wanted, "feed of {who}: posts in order");
    for (post, expected) in page.posts.iter().zip(expected) {
        assert_eq!(facts(post), oracle_facts(expected), "feed of {who}: a post, bit for bit");
    }
}

/// Author, time, sources, counts, and score with its terms.
type Facts = (Id, String, BTreeSet<String>, (u64, u64, bool), [f64; 4]);

fn facts(post: &Post) -> Facts {
    let terms = [post.score, post.explain.freshness, post.explain.engagement, post.explain.affinity];
    let counts = (post.like_count, post.comment_count, post.viewer_liked);
    (post.author_id, post.created_at.clone(), post.sources.iter().cloned().collect(), counts, terms)
}

fn oracle_facts(post: &OraclePost) -> Facts {
    let terms = [post.score, post.freshness, post.engagement, post.affinity];
    let counts = (post.like_count, post.comment_count, post.viewer_liked);
    let sources = post.sources.iter().map(|name| (*name).to_owned()).collect();
    (post.author, edgefeed::feed::rfc3339(post.created_at), sources, counts, terms)
}

async fn feeds_are_the_formula(promise: &'static str, ids: IdKind) {
    let Some(stack) = Stack::or_unproved(promise) else { return };
    let mut place = Place::new(stack, ids).await;
    let mut town = Town::new(&place, 7);
    let [before, after] = town.rows(&place);
    place.database.run(before).await;
    place.connect();
    let begun = Instant::now();
    let node = Node::ready(&place, "store").await;
    place.database.run(after).await;
    let events = Events::into(&place);
    town.events(400).iter().for_each(|event| events.send(event));
    place.database.run(town.changes(&place)).await;
    events.delivered();
    let log = place.settled().await;
    applied(&node, &log).await;
    let oracle = oracle(&place, &log, now_ms());
    assert!(oracle.dead().is_empty() && oracle.stalled().is_empty(), "the oracle can read everything");
    agree(&node, &place, &town.users, &oracle).await;
    println!("{} records, {} feeds, {:?}", log.len(), town.users.len(), begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_over_http_are_the_formula_with_uuids() {
    feeds_are_the_formula("feeds over HTTP are the formula with uuids", IdKind::Uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_over_http_are_the_formula_with_integers() {
    feeds_are_the_formula("feeds over HTTP are the formula with integers", IdKind::U64).await;
}
