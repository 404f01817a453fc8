//! A node that never heard of Kafka: PostgreSQL answers for it, or nobody does.

use edgefeed::clock::now_ms;
use edgefeed_storage::model::{Id, IdKind};
use serde_json::Value;

use super::application::{Application, Post, newest_first};
use super::edge::{Edge, NOWHERE};
use crate::real::stack::Stack;

const PROMISE: &str = "a node with an empty store and no Kafka answers from PostgreSQL";
const LIMIT: usize = 5;

/// Whom the reader follows, and of whom nothing may be seen.
struct Town {
    application: Application,
    reader: Id,
    seen: Vec<Id>,
    /// Every post the reader may see, newest first.
    posts: Vec<Post>,
}

impl Town {
    async fn build(stack: &Stack, ids: IdKind) -> Self {
        let application = Application::new(stack, ids).await;
        let reader = application.id();
        let seen: Vec<Id> = (0..3).map(|_| application.id()).collect();
        let [blocked, blocking, stranger] = [(); 3].map(|()| application.id());
        for author in seen.iter().chain(&[blocked, blocking, reader]) {
            application.follow(reader, *author).await;
        }
        application.block(reader, blocked).await;
        application.block(blocking, reader).await;
        let start = (now_ms() - 60_000) * 1_000;
        // Four posts share each microsecond, several microseconds each millisecond, and two years lie in between.
        let time = |n: i64| start - n / 4 * 400 - n / 40 * 31_536_000_000_000;
        let all: Vec<_> = [&seen[..], &[blocked, blocking, stranger, reader]].concat();
        let post = |n: i64| Post { id: application.id(), author: all[n as usize % all.len()], created_us: time(n) };
        let written: Vec<Post> = (0..112).map(post).collect();
        let (deleted, live): (Vec<_>, Vec<_>) = (0..).zip(written).partition(|(n, _)| n % 11 == 0);
        let strip = |posts: Vec<(i32, Post)>| posts.into_iter().map(|(_, post)| post).collect::<Vec<_>>();
        let (deleted, live) = (strip(deleted), strip(live));
        application.write(&live, false).await;
        application.write(&deleted, true).await;
        let ahead = Post { id: application.id(), author: seen[0], created_us: (now_ms() + 3_600_000) * 1_000 };
        application.write(&[ahead], false).await;
        let mut posts: Vec<_> = live.into_iter().filter(|post| seen.contains(&post.author)).collect();
        newest_first(&mut posts);
        Self { application, reader, seen, posts }
    }

    /// Somebody posts while the reader reads.
    async fn post(&self) {
        let post = Post { id: self.application.id(), author: self.seen[1], created_us: (now_ms() - 1_000) * 1_000 };
        self.application.write(&[post], false).await;
    }
}

async fn postgres_answers(ids: IdKind) {
    let Some(stack) = Stack::with_postgres_or_unproved(PROMISE) else { return };
    let mut town = Town::build(&stack, ids).await;
    let edge = Edge::start(ids, NOWHERE, &town.application.reader, |_| {}).await;
    let (mut chain, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = edge.page(town.reader, &format!("limit={LIMIT}&explain=1&cursor={cursor}")).await;
        page.is_from("fallback", &["counts_missing", "store_empty"]);
        assert_eq!(page.headers["x-feed-staleness-ms"], "0");
        assert_eq!(page.body["freshness"]["staleness_ms"], 0);
        let first = &page.body["posts"][0];
        assert_eq!((&first["sources"], &first["like_count"]), (&serde_json::json!(["followed"]), &Value::from(0)));
        assert!(first["explain"]["freshness"].as_f64().is_some_and(|freshness| (0.0..=1.0).contains(&freshness)));
        chain.extend(page.ids(ids));
        pages += 1;
        // The chain goes on below what was shown, whatever happens above; what is deleted meanwhile is not shown.
        town.post().await;
        let deleted = town.posts.remove(chain.len() + LIMIT.min(town.posts.len() - chain.len()) / 2);
        town.application.delete(deleted.id).await;
        match page.cursor() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
        if pages == 4 {
            break;
        }
    }
    let expected: Vec<Id> = town.posts.iter().map(|post| post.id).collect();
    assert_eq!(chain, expected[..chain.len()], "newest first, nothing twice, nothing left out");
    assert_eq!(chain.len(), pages * LIMIT);

    let rest = edge.page(town.reader, &format!("limit=100&cursor={cursor}")).await;
    assert_eq!(rest.ids(ids), expected[chain.len()..]);
    assert_eq!(rest.cursor(), None, "the end is the end");

    cursors_are_ours_and_the_readers(&edge, &town, &cursor).await;
    let ready = edge.told("/readyz").await;
    assert_eq!(ready["ready"], false, "it answers, and is not ready before its first catch-up: {ready}");
    let nobody = edge.page(town.application.id(), "").await;
    nobody.is_from("fallback", &["store_empty"]);
    assert_eq!((nobody.ids(ids).len(), nobody.cursor()), (0, None));
    edge.node.stop().await.unwrap();
}

async fn cursors_are_ours_and_the_readers(edge: &Edge, town: &Town, cursor: &str) {
    let mut tampered = cursor.to_owned().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    for (reader, cursor) in [
        (town.reader, tampered.as_str()),
        (town.reader, &cursor[..cursor.len() - 2]),
        (town.reader, "bm90IG91cnM"),
        (town.application.id(), cursor),
    ] {
        let answer = edge.page(reader, &format!("cursor={cursor}")).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &Value::from("bad_cursor")), "{cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_an_empty_store_and_no_kafka_answers_from_postgres_in_order_with_uuids() {
    postgres_answers(IdKind::Uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_an_empty_store_and_no_kafka_answers_from_postgres_in_order_with_integers() {
    postgres_answers(IdKind::U64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_empty_store_and_no_postgres_it_is_503_with_retry_after() {
    let nobody = format!("postgres://nobody:nothing@{NOWHERE}/none");
    for postgres in ["", nobody.as_str()] {
        let edge = Edge::start(IdKind::U64, NOWHERE, postgres, |_| {}).await;
        for _ in 0..30 {
            let answer = edge.page(Id(7), "").await;
            assert_eq!((answer.status, &answer.body["error"]["code"]), (503, &Value::from("unavailable")));
            assert_eq!(answer.headers["retry-after"], "1");
            assert!(!answer.body.to_string().contains("nothing"), "{}", answer.body);
        }
        if !postgres.is_empty() {
            assert_eq!(edge.breaker("postgres").await, "open");
        }
        edge.node.stop().await.unwrap();
    }
}
