//! A post of an event gives a position, and a page that asks for that position shows what the event did: every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use edgefeed::auth::Mode;
use edgefeed::config::Config;
use edgefeed::node::Node;
use edgefeed::world::partition_of;
use edgefeed_storage::model::{Id, IdKind, Topic, TopicPartition};
use edgefeed_sync::EmbeddedBroker;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

use super::http::{Http, affinity, engagement, shown};
use super::town;
use crate::crash::dice::times;
use crate::log::{PARTITIONS, topic_name};

/// Readers of the tries, and of the load beside them.
const READERS: u128 = 24;
const FIRST_READER: u128 = 100;
/// Requests of the load, at once.
const LOAD: usize = 8;

/// A node in this process over a broker of its own.
pub(super) struct Place {
    _broker: EmbeddedBroker,
    _dir: tempfile::TempDir,
    pub(super) node: Node,
    pub(super) http: Http,
}

impl Place {
    pub(super) async fn start(set: impl FnOnce(&mut Config)) -> Self {
        let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&topics, PARTITIONS.cast_signed()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.node.ids = IdKind::U64;
        config.http.listen.set_port(0);
        config.admin.listen.set_port(0);
        config.auth.mode = Mode::None;
        config.storage.dir = dir.path().join("store");
        config.kafka.brokers = broker.address().unwrap();
        config.kafka.watermark_poll_ms = 50;
        // Tests ask faster than readers.
        config.limits.subject_per_s = 0;
        set(&mut config);
        let brokers = config.kafka.brokers.clone();
        tokio::task::spawn_blocking(move || {
            town::write(&brokers, "cdc.", FIRST_READER..FIRST_READER + READERS);
        })
        .await
        .unwrap();
        let node = Node::start(config, PrometheusBuilder::new().build_recorder().handle()).await.unwrap();
        let lag = Arc::clone(&node.now().lag);
        let caught_up = tokio::task::spawn_blocking(move || lag.wait_caught_up(Duration::from_secs(60))).await.unwrap();
        assert!(caught_up, "{}", node.status.snapshot());
        let http = Http::of(node.http.port());
        Self { _broker: broker, _dir: dir, node, http }
    }
}

/// Posts and reads all the while: all of them together 1,600 events and 320 pages a second.
async fn load(http: Http, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) {
    let mut tenths = tokio::time::interval(Duration::from_millis(100));
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        tenths.tick().await;
        number += 1;
        let reader = 900 + number % 7;
        let events: Vec<_> = (0..20).map(|next| town::event(town::post(number + next), "impression")).collect();
        let posted = http.post(reader, &events).await;
        assert_eq!(posted.status.as_u16(), 202, "{}", posted.body);
        for _ in 0..4 {
            http.feed(reader, "").await;
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_has_done_is_in_the_page_that_asks_for_its_position_every_time_under_load() {
    let tries = times("EDGEFEED_TRIES", 100) as u128;
    let place = Place::start(|_| {}).await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let busy: Vec<_> =
        (0..LOAD).map(|_| tokio::spawn(load(place.http.clone(), Arc::clone(&stop), Arc::clone(&count)))).collect();
    let mut waits = Vec::new();
    let mut spooled = 0;
    for number in 0..tries {
        let reader = FIRST_READER + number % READERS;
        let (_, before) = place.http.feed(reader, "").await;
        let seen = shown(&before);
        // A reader who has seen everything has nothing left to hide.
        let Some(post) = seen.first().copied() else { continue };
        let action = ["view", "hide", "like"][(number / READERS % 3) as usize];
        let begun = Instant::now();
        let posted = place.http.post(reader, &[town::event(post, action)]).await;
        let position = posted.position(1);
        spooled += usize::from(posted.body["spooled"] == true);
        let (status, after) = place.http.feed(reader, &format!("min_position={position}")).await;
        waits.push(begun.elapsed());
        assert_eq!(status, 200, "{after}");
        let missed = after["degraded"].as_array().unwrap().iter().any(|mark| mark == "position_not_reached");
        assert!(!missed, "try {number}: {after}");
        if action == "like" {
            let author = town::author_of(post);
            let (old, new) = (affinity(&before, author), affinity(&after, author));
            assert!(new > old, "try {number}: a like of {post} left affinity at {new:?}, was {old:?}");
            assert!(engagement(&after, post) > Some(0.0), "try {number}: a like of {post} is not in its engagement");
        } else {
            assert!(!shown(&after).contains(&post), "try {number}: {post} is still there after a {action}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for busy in busy {
        busy.await.unwrap();
    }
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() - 1) * share / 100];
    println!(
        "{} of {tries} tries, {spooled} of them spooled, beside {} requests of 20 events: posted and read back within \
         {:?} (median), {:?} (99 of 100)",
        waits.len(),
        count.load(Ordering::Relaxed),
        at(50),
        at(99)
    );
    assert!(waits.len() * 2 > tries as usize, "{} tries were worth anything", waits.len());
    place.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_events_stand_where_java_would_put_them_with_everything_filled_in() {
    let place = Place::start(|_| {}).await;
    for reader in FIRST_READER..FIRST_READER + 8 {
        let post = town::post(reader);
        let posted = place.http.post(reader, &[town::event(post, "view"), town::event(post, "like")]).await;
        let position = posted.position(2);
        let (_, page) = place.http.feed(reader, &format!("min_position={position}")).await;
        assert!(!shown(&page).contains(&post));
        let partition = partition_of(reader.to_string().as_bytes(), PARTITIONS);
        let at = TopicPartition { topic: Topic::Events, partition };
        let next = place.node.now().lag.applied_to(at);
        assert!(next >= Some(2), "reader {reader}: partition {partition} stands at {next:?}");
        // Without an author an event counts for its post alone.
        let mut authors = Vec::new();
        let mut each = |user: Id, author: Id| {
            if user.0 == reader {
                authors.push(author.0);
            }
        };
        place.node.now().store.each_partial(|user, author, _, _, _| each(user, author)).unwrap();
        assert_eq!(authors, [town::author_of(post)]);
    }
    place.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_ahead_of_the_log_is_waited_for_and_then_the_page_says_so() {
    let place = Place::start(|_| {}).await;
    let posted = place.http.post(FIRST_READER, &[town::event(town::post(1), "like")]).await;
    let position = posted.position(1);
    let elsewhere = Place::start(|config| config.node.cluster = "elsewhere".to_owned()).await;
    let (status, body) = elsewhere.http.feed(FIRST_READER, &format!("min_position={position}")).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_parameter")), "another cluster's");
    // Of the same cluster, as a node that is behind sees it: its log does not go so far.
    let behind = Place::start(|_| {}).await;
    let begun = Instant::now();
    let (status, body) = behind.http.feed(FIRST_READER, &format!("min_position={position}")).await;
    assert_eq!((status, &body["degraded"]), (200, &json!(["position_not_reached"])));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    for place in [place, elsewhere, behind] {
        place.node.stop().await.unwrap();
    }
}
