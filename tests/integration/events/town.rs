//! A small town, as its application's tables tell of it: authors with posts, readers who follow them all.

use std::time::Duration;

use edgefeed::clock::now_ms;
use edgefeed_sync::Producer;
use serde_json::{Value, json};

/// Authors, each of so many posts.
pub(super) const AUTHORS: u128 = 12;
const POSTS: u128 = 8;
/// Ids of different things are different numbers, so that none is taken for another.
const FIRST_AUTHOR: u128 = 1_000;
const FIRST_POST: u128 = 5_000;

pub(super) fn author(number: u128) -> u128 {
    FIRST_AUTHOR + number % AUTHORS
}

pub(super) fn post(number: u128) -> u128 {
    FIRST_POST + number % (AUTHORS * POSTS)
}

/// Who wrote a post.
pub(super) fn author_of(post: u128) -> u128 {
    author(post - FIRST_POST)
}

/// All posts.
pub(super) fn posts() -> impl Iterator<Item = u128> {
    (0..AUTHORS * POSTS).map(post)
}

/// Writes the town: rows of posts, and follows of these readers. The names of topics begin with `prefix`.
pub(super) fn write(brokers: &str, prefix: &str, readers: impl Iterator<Item = u128>) {
    let producer = Producer::connect(brokers).unwrap();
    let now_ms = now_ms();
    let send = |table: &str, key: Value, row: Value, created_ms: i64| {
        let mut row = row;
        row["created_at"] = json!(created_ms);
        let value = json!({ "table": table, "op": "c", "ts_ms": created_ms, "before": null, "after": row });
        let (key, value) = (key.to_string().into_bytes(), value.to_string().into_bytes());
        producer.send(&format!("{prefix}{table}"), None, &key, Some(&value), Some(now_ms)).unwrap();
    };
    for (number, post) in (0_i64..).zip(posts()) {
        let row = json!({ "id": post as u64, "user_id": author_of(post) as u64 });
        send("posts", json!({ "id": post as u64 }), row, now_ms - 3_600_000 - number * 60_000);
    }
    for reader in readers {
        for author in (0..AUTHORS).map(author) {
            let row = json!({ "follower_id": reader as u64, "following_id": author as u64 });
            send("follows", row.clone(), row, now_ms - 7_200_000);
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// An event as a client posts it.
pub(super) fn event(post: u128, action: &str) -> Value {
    json!({ "post_id": post as u64, "action": action })
}

/// The same under an id of its own.
pub(super) fn event_with_id(id: uuid::Uuid, post: u128, action: &str) -> Value {
    json!({ "event_id": id.to_string(), "post_id": post as u64, "action": action })
}
