//! Kafka away while events are posted: what was answered 202 is seen at once, survives kills and power cuts, and stands
//! afterwards in Kafka, in the counters and in ClickHouse once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed_storage::key::Family;
use edgefeed_storage::model::{Counters, IdKind};
use edgefeed_sync::Producer;
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::{Http, engagement, shown};
use super::town;
use crate::center::clickhouse::ClickHouse;
use crate::center::kafka::Topics;
use crate::center::log::{Ids, Source};
use crate::center::node::{Node, PATIENCE};
use crate::center::parts::own_name;
use crate::center::stage::Stage;
use crate::compare;
use crate::crash::dice::{Dice, times};
use crate::crash::files::newest_wal;
use crate::real::stack::{Stack, unproved};
use crate::real::steps::until;

const PROMISE: &str = "what is promised while Kafka is away is seen at once and counted once";
const PARTITIONS: u32 = 3;
const READERS: u128 = 20;
const FIRST_READER: u128 = 100;
/// How many post at once.
const POSTERS: u64 = 6;
const HOUR: i64 = 3_600_000;
const ACTIONS: [&str; 6] = ["view", "hide", "like", "share", "comment", "impression"];
/// Once Kafka is back, its clients have to find it again.
const SENT_WITHIN: Duration = Duration::from_secs(120);

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

/// What was posted.
#[derive(Clone, Debug)]
struct Deed {
    reader: u128,
    post: u128,
    action: &'static str,
    time_ms: i64,
}

/// Everything posted, by event id: promised with 202, or of a request that got no answer.
#[derive(Debug, Default)]
struct Posted {
    promised: BTreeMap<Uuid, Deed>,
    unanswered: BTreeMap<Uuid, Deed>,
    spooled: usize,
}

impl Posted {
    fn join(&mut self, other: Self) {
        self.promised.extend(other.promised);
        self.unanswered.extend(other.unanswered);
        self.spooled += other.spooled;
    }
}

/// Posts `count` requests, or until the node is gone.
async fn poster(http: Http, seed: u64, count: usize) -> Posted {
    let (mut dice, mut posted) = (Dice::new(seed), Posted::default());
    for _ in 0..count {
        let reader = FIRST_READER + dice.below(READERS as usize) as u128;
        let mut deeds = BTreeMap::new();
        for _ in 0..dice.between(1, 4) {
            let ago = dice.below(3 * HOUR as usize) as i64;
            let (post, action) = (town::post(u128::from(dice.number() >> 8)), *dice.pick(&ACTIONS));
            deeds.insert(Uuid::new_v4(), Deed { reader, post, action, time_ms: now_ms() - ago });
        }
        let event = |(id, deed): (&Uuid, &Deed)| {
            let mut event = town::event_with_id(*id, deed.post, deed.action);
            event["event_time"] = json!(deed.time_ms);
            event
        };
        let events: Vec<Value> = deeds.iter().map(event).collect();
        match http.try_post(reader, &events).await {
            Some(answer) => {
                answer.position(deeds.len());
                posted.spooled += usize::from(answer.body["spooled"] == true);
                posted.promised.append(&mut deeds);
            }
            None => {
                posted.unanswered.append(&mut deeds);
                return posted;
            }
        }
    }
    posted
}

/// Several of them at once.
async fn crowd(http: &Http, dice: &mut Dice, count: usize) -> Posted {
    let all: Vec<_> = (0..POSTERS).map(|_| tokio::spawn(poster(http.clone(), dice.number(), count))).collect();
    let mut posted = Posted::default();
    for one in all {
        posted.join(one.await.unwrap());
    }
    posted
}

/// Every promise is in its reader's view.
async fn all_in_view(http: &Http, posted: &Posted) {
    for reader in FIRST_READER..FIRST_READER + READERS {
        let mine = || posted.promised.values().filter(|deed| deed.reader == reader);
        let gone: BTreeSet<u128> =
            mine().filter(|deed| ["view", "hide"].contains(&deed.action)).map(|deed| deed.post).collect();
        let (status, page) = http.feed(reader, "").await;
        assert_eq!(status, 200, "{page}");
        let shown: BTreeSet<u128> = shown(&page).into_iter().collect();
        let there: Vec<_> = shown.intersection(&gone).collect();
        assert!(there.is_empty(), "reader {reader} has seen or hidden {there:?}, and they are in the page");
        for deed in mine().filter(|deed| deed.action == "like" && shown.contains(&deed.post)) {
            assert!(engagement(&page, deed.post) > Some(0.0), "a like of {} counts for nothing", deed.post);
        }
    }
}

/// `/status` about the spool.
async fn spool(node: &Node) -> Value {
    node.status().await.map_or(Value::Null, |status| status["spool"].clone())
}

/// The node answers, over whatever it has.
async fn answers(node: &mut Node) {
    let up = until(PATIENCE, async || node.status().await.map(drop)).await;
    node.must_run();
    assert!(up.is_some(), "it does not answer:\n{}", node.log());
}

/// Others' events in every partition, at this time.
fn others(topics: &Topics, time_ms: i64) {
    let producer = Producer::connect(&topics.broker).unwrap();
    for partition in 0..PARTITIONS.cast_signed() {
        let event = json!({ "event_id": Uuid::new_v4().to_string(), "event_time": time_ms, "user_id": 7,
            "post_id": town::post(0) as u64, "action": "impression" });
        let value = event.to_string().into_bytes();
        producer.send(&topics.name(Source::Events), Some(partition), b"7", Some(&value), Some(time_ms)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// What a power cut leaves: the log as it was at the last sync, and behind that what the disk held before.
fn power_cut(node: &Node, synced: u64, dice: &mut Dice) {
    let (path, size) = newest_wal(&node.store());
    assert!(size as u64 >= synced, "what was synced is in the log");
    let mut wal = std::fs::File::options().write(true).open(path).unwrap();
    wal.set_len(synced).unwrap();
    std::io::Seek::seek(&mut wal, std::io::SeekFrom::End(0)).unwrap();
    let garbage: Vec<u8> = (0..dice.between(1, 4_096)).map(|_| dice.byte()).collect();
    wal.write_all(&garbage).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_promised_while_kafka_is_away_is_seen_at_once_and_counted_once() {
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let Some(clickhouse) = std::env::var("EDGEFEED_TEST_CLICKHOUSE").ok().filter(|url| !url.is_empty()) else {
        return unproved(PROMISE, "EDGEFEED_TEST_CLICKHOUSE is not set; `make test` starts the real stack");
    };
    let _mine = stack.kafka_for_me();
    let rounds = times("EDGEFEED_ROUNDS", 1);
    let count = times("EDGEFEED_POSTED", 25);
    let mut dice = Dice::of_run();
    let name = own_name("spool");
    let topics = Arc::new(Topics::create(&stack.kafka, &format!("{name}."), PARTITIONS));
    let stage = Stage::over(ClickHouse::new(&clickhouse, &name), Arc::clone(&topics), Ids::U64, &name);
    stage.migrate();
    town::write(&topics.broker, &topics.prefix, FIRST_READER..FIRST_READER + READERS);
    let mut member = stage.member(0).await;
    let more = [
        (("storage", "dedup_hours"), "1"),
        (("storage", "memory_budget_bytes"), "536870912"),
        (("storage", "wal_sync_ms"), "60000"),
        (("spool", "ack_timeout_ms"), "300"),
        (("limits", "subject_per_s"), "0"),
    ];
    member.node.settings.more.extend(more.map(|(key, value)| (key, value.to_owned())));
    member.node.start_ready().await;
    let http = Http::of(member.node.http);
    let mut posted = crowd(&http, &mut dice, 2).await;
    for round in 1..=rounds {
        // Ids are remembered for an hour of record time, and three pass while Kafka is away.
        others(&topics, now_ms() - 3 * HOUR);
        let away = Away::begin(&stack);
        outage(&mut member.node, &http, &mut posted, &mut dice, count).await;
        drop(away);
        others(&topics, now_ms());
        let back = Instant::now();
        for _ in 0..2 {
            // In the midst of sending, or of reading what was sent.
            let (http, seed, moment) = (http.clone(), dice.number(), dice.between(100, 2_500));
            let crowd = tokio::spawn(poster(http, seed, count));
            tokio::time::sleep(Duration::from_millis(moment as u64)).await;
            member.node.kill();
            posted.join(crowd.await.unwrap());
            member.node.start();
            answers(&mut member.node).await;
        }
        all_in_view(&http, &posted).await;
        member.node.ready().await;
        let empty = until(SENT_WITHIN, async || (spool(&member.node).await["depth"] == 0).then_some(())).await;
        assert!(empty.is_some(), "round {round}: {:#}\n{}", spool(&member.node).await, member.node.log());
        eprintln!(
            "round {round}: {} promised, all sent {:?} after Kafka was back",
            posted.promised.len(),
            back.elapsed()
        );
        all_in_view(&http, &posted).await;
    }
    assert!(posted.spooled > 0, "nothing was ever spooled");
    let events = in_kafka_once(&topics, &posted);
    let ends = ends(&member.node).await;
    stage.drained(&ends).await;
    in_clickhouse_once(&stage.center, &events).await;
    member.leave().await;
    in_the_counters_once(&member.node, &events, &posted);
    stage.center.drop_database().await;
    println!("{} requests were answered by the spool, {} had no answer", posted.spooled, posted.unanswered.len());
}

/// Posts while Kafka is away, dies, loses what was not synced, and goes on over what is left.
async fn outage(node: &mut Node, http: &Http, posted: &mut Posted, dice: &mut Dice, count: usize) {
    posted.join(crowd(http, dice, count).await);
    all_in_view(http, posted).await;
    // Nothing is under way: all that was answered is on disk, and a cut takes whatever is not.
    let (_, synced) = newest_wal(&node.store());
    let depth = spool(node).await["depth"].as_u64();
    node.kill();
    power_cut(node, synced as u64, dice);
    node.start();
    answers(node).await;
    assert_eq!(spool(node).await["depth"].as_u64(), depth, "each promise is kept");
    all_in_view(http, posted).await;
    // And once more, in the midst of it.
    let (crowd_http, mut other) = (http.clone(), Dice::new(dice.number()));
    let crowd = tokio::spawn(async move { crowd(&crowd_http, &mut other, 10 * count).await });
    tokio::time::sleep(Duration::from_millis(dice.between(200, 1_500) as u64)).await;
    node.kill();
    posted.join(crowd.await.unwrap());
    node.start();
    answers(node).await;
    all_in_view(http, posted).await;
}

/// Where the logs end, as the node has heard.
async fn ends(node: &Node) -> BTreeMap<(Source, u32), i64> {
    let status = node.status().await.unwrap();
    let mut ends = BTreeMap::new();
    for source in Source::ALL {
        let partitions = status["ingest"]["topics"][source.name()]["partitions"].as_object().unwrap();
        for known in partitions.values() {
            let (partition, end) =
                (known["partition"].as_u64().unwrap() as u32, known["next_offset"].as_i64().unwrap());
            if end > 0 {
                ends.insert((source, partition), end);
            }
        }
    }
    ends
}

/// Each promise stands in Kafka once, and nothing that nobody posted; what stands there, by event id.
fn in_kafka_once(topics: &Topics, posted: &Posted) -> BTreeMap<String, Value> {
    let mut events = BTreeMap::new();
    for record in topics.records(Source::Events) {
        let value: Value = serde_json::from_str(record["value"].as_str().unwrap()).unwrap();
        let id = value["event_id"].as_str().unwrap().to_owned();
        let twice = events.insert(id.clone(), value);
        assert!(twice.is_none(), "{id} stands twice in Kafka");
    }
    for (id, deed) in &posted.promised {
        let value = events.get(&id.to_string()).unwrap_or_else(|| panic!("{id}, {deed:?}, is not in Kafka"));
        let said = (
            value["user_id"].as_u64(),
            value["post_id"].as_u64(),
            value["action"].as_str(),
            value["event_time"].as_i64(),
        );
        let meant = (Some(deed.reader as u64), Some(deed.post as u64), Some(deed.action), Some(deed.time_ms));
        assert_eq!(said, meant, "{id}");
        assert_eq!(value["author_id"].as_u64(), Some(town::author_of(deed.post) as u64), "{id}");
    }
    let known = |id: &&String| {
        let id = id.parse().unwrap();
        posted.promised.contains_key(&id) || posted.unanswered.contains_key(&id)
    };
    let strange: Vec<_> = events.iter().filter(|(id, value)| !known(id) && value["user_id"] != 7).collect();
    assert!(strange.is_empty(), "{strange:?}");
    events
}

/// What the counters must say: by post and hour.
fn hours(events: &BTreeMap<String, Value>) -> BTreeMap<(u128, i64), [u64; 5]> {
    let mut hours: BTreeMap<(u128, i64), [u64; 5]> = BTreeMap::new();
    for value in events.values() {
        let place = ["view", "impression", "like", "comment", "share"];
        let Some(at) = place.iter().position(|name| value["action"] == *name) else { continue };
        let hour = value["event_time"].as_i64().unwrap() / HOUR;
        hours.entry((u128::from(value["post_id"].as_u64().unwrap()), hour)).or_default()[at] += 1;
    }
    hours
}

async fn in_clickhouse_once(center: &ClickHouse, events: &BTreeMap<String, Value>) {
    let rows: Vec<[String; 2]> =
        center.rows("SELECT toString(event_id), toString(count()) FROM DB.events GROUP BY event_id").await;
    let found: BTreeMap<String, String> = rows.into_iter().map(|[id, count]| (id, count)).collect();
    assert!(found.values().all(|count| count == "1"), "some events stand there twice");
    assert_eq!(found.keys().collect::<Vec<_>>(), events.keys().collect::<Vec<_>>(), "events at the center");
    let question = "SELECT [toString(post_id), toString(intDiv(toUnixTimestamp(window_start), 3600))], \
                    [sum(views), sum(impressions), sum(likes), sum(comments), sum(shares)] \
                    FROM DB.post_metrics_1h GROUP BY post_id, window_start";
    let rows: Vec<(Vec<String>, Vec<Value>)> = center.rows(question).await;
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap());
    let found: BTreeMap<(u128, i64), [u64; 5]> = rows
        .iter()
        .map(|(key, sums)| {
            let sums: Vec<u64> = sums.iter().map(number).collect();
            ((key[0].parse().unwrap(), key[1].parse().unwrap()), sums.try_into().unwrap())
        })
        .filter(|(_, sums)| *sums != [0; 5])
        .collect();
    assert_eq!(found, hours(events), "the views at the center");
}

fn in_the_counters_once(node: &Node, events: &BTreeMap<String, Value>, posted: &Posted) {
    let store = compare::open(&node.store(), IdKind::U64);
    let mut found = BTreeMap::new();
    store
        .each_post_hour(|post, hour, sum: Counters| {
            let sums = [sum.views, sum.impressions, sum.likes, sum.comments, sum.shares].map(u64::from);
            if sums != [0; 5] {
                found.insert((post.0, i64::from(hour)), sums);
            }
        })
        .unwrap();
    assert_eq!(found, hours(events), "the counters of the node");
    assert_eq!(store.spool_state().events, 0);
    for (family, action) in [(Family::Hides, "hide"), (Family::Viewed, "view")] {
        let mut seen = BTreeSet::new();
        store
            .each_seen(family, |user, post, _| {
                seen.insert((user.0, post.0));
            })
            .unwrap();
        let promised = posted.promised.values().filter(|deed| deed.action == action);
        let missing: Vec<_> = promised.filter(|deed| !seen.contains(&(deed.reader, deed.post))).collect();
        assert!(missing.is_empty(), "{action}: {missing:?}");
    }
}
