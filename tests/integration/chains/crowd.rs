//! Many requests for one page at once: few are made, and nobody's own change is missing from theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgefeed::cache;
use edgefeed::feed::FeedRequest;
use edgefeed::ranking;
use edgefeed_storage::model::{Action, Id};

use super::stage::{NOW, Stage, event, follow, post};

const READER: Id = Id(1);
const AUTHOR: Id = Id(2);
const TASKS: u64 = 16;
const ROUNDS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_writes_and_then_asks_sees_it_however_many_ask_the_same() {
    let stage = Arc::new(Stage::new(&cache::Config::default(), &ranking::Config::default()));
    stage.apply([follow(READER, AUTHOR)]);
    let posts = (0..TASKS * ROUNDS).map(|n| post(Id(u128::from(1_000 + n)), AUTHOR, NOW - n.cast_signed()));
    stage.apply(posts);
    let left = Arc::new(AtomicU64::new(TASKS * ROUNDS));
    let tasks = (0..TASKS).map(|task| {
        let (stage, left) = (Arc::clone(&stage), Arc::clone(&left));
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                // All of them look at the newest, which is hidden one by one.
                let hidden = Id(u128::from(1_000 + round * TASKS + task));
                stage.apply([event(Action::Hide, READER, hidden, AUTHOR, NOW)]);
                left.fetch_sub(1, Ordering::SeqCst);
                let page = stage.page(FeedRequest { limit: 100, ..FeedRequest::of(READER) }).await.unwrap();
                assert!(page.posts.iter().all(|post| post.id.1 != hidden), "task {task}, round {round}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(left.load(Ordering::SeqCst), 0);
}
