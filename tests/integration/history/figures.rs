//! What the views save: the same answers by way of them and from the raw rows, ten million events.

use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed_storage::model::{HOUR_MS, Id, IdKind, day_of};
use edgefeed_sync::center::{Center, Cut, HistoryQuery};

use super::place::Place;
use super::told::{CLUSTER, TOPIC, Told};

const EVENTS: u64 = 10_000_000;
const CHUNK: u64 = 1_000_000;
const USERS: u64 = 5_000;
const AUTHORS: u64 = 5_000;
const POSTS: u64 = 100_000;
/// Of several tries: the machine is shared.
const TRIES: usize = 7;
const READER: Id = Id(77);
const LIMIT: Duration = Duration::from_millis(300);

/// Writes events of 90 days through the views: a reader meets six authors a day, and a few posts get most of it.
async fn fill(place: &Place, now: i64) {
    for chunk in 0..EVENTS / CHUNK {
        let sql = format!(
            "INSERT INTO {database}.events (event_id, event_time, user_id, post_id, author_id, action, dwell_ms, \
             _cluster, _topic, _partition, _offset, _ts) \
             SELECT generateUUIDv4(number), fromUnixTimestamp64Milli(toInt64(ts - hash % 60000), 'UTC'), user, post, \
             (user * 31 + intDiv(ts, 86400000) * 7 + intDiv(hash, 1000000007) % 6) % {AUTHORS}, \
             ['view','impression','impression','impression','view','like','comment','share'][1 + intDiv(hash, 7919) % 8], \
             hash % 9000, \
             '{CLUSTER}', '{TOPIC}', user % 4, number, fromUnixTimestamp64Milli(toInt64(ts), 'UTC') \
             FROM (SELECT number, cityHash64(number) AS hash, hash % {USERS} AS user, \
             toUInt64(pow((hash % 1000003) / 1000003, 3) * {POSTS}) AS post, \
             {first} + toInt64(number * {step}) AS ts FROM numbers({from}, {CHUNK})) \
             SETTINGS max_partitions_per_insert_block = 0",
            database = place.database,
            from = chunk * CHUNK,
            first = now - 89 * 24 * HOUR_MS,
            step = 89.0 * 24.0 * 3_600_000.0 / EVENTS as f64,
        );
        place.ask(&sql).await;
    }
}

/// The median of some tries.
async fn median(what: &str, ask: impl AsyncFn() -> usize) -> Duration {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..TRIES {
        let started = Instant::now();
        rows = ask().await;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("{what}: {:.1} ms, {rows} rows", times[TRIES / 2].as_secs_f64() * 1e3);
    times[TRIES / 2]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes ten million events; `cargo test --release --workspace --test integration history::figures -- --ignored --nocapture`"]
async fn a_readers_affinity_and_the_hours_of_500_posts_come_in_time_through_the_views() {
    let promise = "affinity and the hours of 500 posts come within 300 ms from ten million events";
    let Some(place) = Place::or_unproved(promise, IdKind::U64).await else { return };
    let now = now_ms();
    let started = Instant::now();
    fill(&place, now).await;
    println!("{EVENTS} events through the views: {:.1} s", started.elapsed().as_secs_f64());
    let center = Center::new(&place.config(&place.url)).unwrap();
    // A node that begins now: all of it lies below, as for a new one.
    let node = place.node();
    let next = i64::try_from(EVENTS).unwrap();
    let first = |partition| Told { partition, ..Told::view(next, now, Id(1), Id(1)) };
    node.apply(&(0..4).map(first).collect::<Vec<_>>(), now);
    let cut = Cut::of(&node.store.begins(), now).unwrap();
    let history = async |users: &[Id]| {
        let asked = HistoryQuery { users, ids: IdKind::U64, cluster: CLUSTER, topic: TOPIC, cut: &cut, now_ms: now };
        let mut histories = center.histories(&asked).unwrap();
        let mut all = Vec::new();
        while let Some((_, rows)) = histories.next().await.unwrap() {
            all.extend(rows);
        }
        all
    };
    let one = median("a reader's affinity, through the view", async || history(&[READER]).await.len()).await;
    let many: Vec<Id> = (0..200).map(|number| Id(number * 23)).collect();
    median("the affinity of 200 readers, through the view", async || history(&many).await.len()).await;
    let (database, first) = (&place.database, day_of(now) - 89);
    let lines = async |sql: String| place.ask(&sql).await.lines().count();
    let raw = format!(
        "SELECT author_id, countIf(action = 'view'), countIf(action = 'like'), countIf(action = 'comment'), \
         countIf(action = 'share') FROM {database}.events WHERE user_id = {} AND author_id IS NOT NULL \
         AND toUInt16(toDate(event_time, 'UTC')) >= {first} GROUP BY author_id",
        READER.0
    );
    median("the same from raw events", async || lines(raw.clone()).await).await;
    let views: u32 = history(&[READER]).await.iter().map(|(_, _, sums)| sums.counters.views).sum();
    let raw = format!(
        "SELECT countIf(action = 'view') FROM {database}.events WHERE user_id = {} \
         AND toUInt16(toDate(event_time, 'UTC')) >= {first}",
        READER.0
    );
    assert_eq!(place.ask(&raw).await, views.to_string(), "both ways tell the same");
    let posts = "post_id IN (SELECT number * 7 FROM numbers(500))";
    let counts =
        |by: &str| ["view", "impression", "like", "comment", "share"].map(|name| by.replace('%', name)).join(", ");
    let since = (now - 24 * HOUR_MS) / 1_000;
    let hours = format!(
        "SELECT post_id, window_start, {} FROM {database}.post_metrics_1h WHERE {posts} AND \
         toUnixTimestamp(window_start) >= {since} GROUP BY post_id, window_start",
        ["views", "impressions", "likes", "comments", "shares"].map(|name| format!("sum({name})")).join(", "),
    );
    let metrics = median("the hours of 500 posts, through the view", async || lines(hours.clone()).await).await;
    let raw = format!(
        "SELECT post_id, toStartOfHour(event_time, 'UTC') AS hour, {} FROM {database}.events WHERE {posts} AND \
         toUnixTimestamp(event_time) >= {since} GROUP BY post_id, hour",
        counts("countIf(action = '%')"),
    );
    median("the same from raw events", async || lines(raw.clone()).await).await;
    assert!(one + metrics < LIMIT, "{:?} in all", one + metrics);
    place.remove().await;
}
