//! A whole world at the center, loaded there straight away; a node is built from it while its log goes on under a sink that
//! lags, and ranks as a store does that applied everything. World M with `EDGEFEED_WORLD=m`, a small one otherwise.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed::world::{Encoding, Fact, TableRow, What, World, WorldConfig, partition_of};
use edgefeed_storage::Store;
use edgefeed_storage::model::{Change, Outcome, Record, RowChange, Topic, TopicPartition};
use edgefeed_sync::Producer;
use edgefeed_sync::center::row::{self, CdcRow, EventRow, Origin};
use edgefeed_sync::center::{Center, Encoded, Table};
use edgefeed_sync::decode;

use super::built::last_json;
use super::{PARTITIONS, member, same};
use crate::center::log::{Ids, Source};
use crate::center::node::PATIENCE;
use crate::center::parts::{Parts, busy};
use crate::center::stage::Stage;
use crate::compare;
use crate::crash::dice::times;
use crate::real::events::now_ms;
use crate::real::steps::until;

const IDS: Ids = Ids::Uuid;
/// Rows of one insert.
const INSERT: usize = 50_000;
/// Records of one batch of the reference.
const BATCH: usize = 2_000;
/// The partitions of what was loaded, in the reference: Kafka's own begin behind it.
const LOADED: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_world_at_the_center_becomes_a_node_that_ranks_as_if_it_had_consumed_it() {
    let promise = "a world at the center becomes a node that ranks as if it had consumed it";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let kind = same::kind(IDS);
    let large = std::env::var("EDGEFEED_WORLD").is_ok_and(|size| size == "m");
    let config = if large { WorldConfig::world_m(1, kind) } else { WorldConfig::small(1, kind) };
    // A repeat that comes hours later is a new event to a node and no new row at the center, as the limits say; those of
    // the last hour are in the log that goes on.
    let world = World::new(WorldConfig { now_ms: now_ms(), repeat_share: 0.0, ..config });
    let stage = Stage::new(&parts, "world", IDS, PARTITIONS).await;
    let live = Log::begin(&stage);
    let dir = tempfile::tempdir().unwrap();
    let reference = compare::open(&dir.path().join("reference"), kind);
    let begun = Instant::now();
    let loaded = load(&stage, &world, &reference).await;
    println!("{loaded} rows loaded in {:.0} s", begun.elapsed().as_secs_f64());
    let center = &stage.center;
    for (what, table, key) in [
        ("pairs of reader, author and day", "user_author_90d", "user_id, author_id, day"),
        ("pairs of reader and author", "user_author_90d", "user_id, author_id"),
        ("posts' hours", "post_metrics_1h", "post_id, window_start"),
        ("follows", "follows_cdc", "follower_id, following_id"),
        ("posts", "posts_cdc", "id"),
    ] {
        let rows = center.number(&format!("SELECT toString(uniqExact({key})) FROM DB.{table}")).await;
        println!("{rows} {what}");
    }
    bare(&stage).await;

    // Somebody's sink takes the new records to the center, and lags.
    let mut sink = member(&stage, 0).await;
    sink.node.settings.more.insert(("sink", "flush_ms"), "2000".to_owned());
    // It knows nothing of the world, which its part here does not need.
    sink.node.settings.more.insert(("resync", "auto"), "false".to_owned());
    sink.node.start_ready().await;
    let mut log = live;
    let records = times("EDGEFEED_LIVE", 2_000);
    log.write(&world, &reference, records);
    let mut built = member(&stage, 1).await;
    built.node.settings.more.remove(&("resync", "shard_rows"));
    built.node.settings.roles = r#"["serve"]"#;
    let begun = Instant::now();
    let mut verb = built.node.begin_verb(&["resync", "bootstrap", "--output", "json"]);
    while verb.try_wait().unwrap().is_none() {
        log.write(&world, &reference, 20);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = verb.wait_with_output().unwrap();
    assert!(done.status.success());
    let outcome = last_json(&String::from_utf8(done.stdout).unwrap())["outcome"].clone();
    println!("built in {:.1} s, {} rows", begun.elapsed().as_secs_f64(), outcome["rows"]);
    for table in outcome["tables"].as_array().unwrap() {
        println!("  {} {} rows in {:.2} s", table["table"], table["rows"], table["took_ms"].as_f64().unwrap() / 1e3);
    }
    built.node.start_ready().await;
    log.write(&world, &reference, records);
    let ends = log.delivered();
    let applied = until(PATIENCE * 4, async || built.node.applied(&ends).await.then_some(())).await;
    assert!(applied.is_some(), "{:?}", built.node.status().await);
    sink.leave().await;
    built.leave().await;

    let now = now_ms();
    reference.warm(now).unwrap();
    let feed = compare::feed_over(&reference);
    let (_store, built_feed) = same::open(&built.node.store(), IDS, now);
    let users = world.user_count();
    let sampled = 1_000.min(users);
    let readers =
        (0..sampled).map(|number| world.user((u64::from(number) * u64::from(users) / u64::from(sampled)) as u32));
    let posts = same::feeds(&feed, &built_feed, readers, now);
    println!("{sampled} readers, {posts} posts on their pages, bit for bit");
    assert!(posts > sampled as usize);
    center.drop_database().await;
}

/// The same rows read by a plain client: what there is to be had.
async fn bare(stage: &Stage) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (what, sql) in [
        (
            "histories",
            "SELECT user_id, author_id, day, sum(views), sum(impressions), sum(likes), sum(comments), sum(shares), \
             sum(dwell_ms), max(last_ts) FROM DB.user_author_90d GROUP BY user_id, author_id, day \
             ORDER BY user_id, author_id, day FORMAT RowBinary",
        ),
        (
            "follows",
            "SELECT follower_id, following_id, _version, _deleted, _ts FROM DB.follows_cdc FINAL FORMAT RowBinary",
        ),
    ] {
        let sql = sql.replace("DB.", &format!("`{}`.", stage.center.database));
        let begun = Instant::now();
        let body = client.post(&stage.center.url).body(sql).send().await.unwrap().bytes().await.unwrap();
        println!("a plain client reads {what}: {} bytes in {:.2} s", body.len(), begun.elapsed().as_secs_f64());
    }
}

/// Loads a world's past into the center, as its sinks would have, and into a store, as a node would have.
async fn load(stage: &Stage, world: &World, reference: &Arc<Store>) -> u64 {
    let config = edgefeed_sync::center::Config {
        url: stage.center.url.clone(),
        database: stage.center.database.clone(),
        insert_timeout_ms: 120_000,
        ..Default::default()
    };
    let center = Center::new(&config).unwrap();
    let mut loader =
        Loader { center, stage, world, rows: BTreeMap::new(), inserts: 0, loaded: 0, ends: BTreeMap::new() };
    let mut batch: Vec<(Fact, Record)> = Vec::new();
    for fact in world.history() {
        // Users are not listed at the center, and these nodes do not follow them.
        if Table::of(fact.topic()).is_none() {
            continue;
        }
        if let What::Event(event) = &fact.what
            && event.event_time > fact.time_ms + 5 * 60_000
        {
            continue;
        }
        let record = loader.record(&fact);
        batch.push((fact, record));
        if batch.len() == BATCH {
            loader.take(std::mem::take(&mut batch), reference).await;
        }
    }
    loader.take(batch, reference).await;
    for table in Table::ALL {
        loader.insert(table).await;
    }
    loader.loaded
}

struct Loader<'a> {
    center: Arc<Center>,
    stage: &'a Stage,
    world: &'a World,
    rows: BTreeMap<Table, (usize, Vec<u8>)>,
    inserts: u64,
    loaded: u64,
    ends: BTreeMap<TopicPartition, i64>,
}

impl Loader<'_> {
    fn record(&mut self, fact: &Fact) -> Record {
        let key = Encoding::new(same::kind(IDS)).encode(fact).remove(0).key;
        let at = TopicPartition { topic: fact.topic(), partition: LOADED + partition_of(&key, PARTITIONS) };
        let end = self.ends.entry(at).or_default();
        *end += 1;
        let outcome = Outcome::Change(fact.to_change(0));
        Record { at, offset: *end - 1, time: fact.time_ms, outcome, raw: None }
    }

    async fn take(&mut self, batch: Vec<(Fact, Record)>, reference: &Arc<Store>) {
        let records: Vec<Record> = batch.iter().map(|(_, record)| record.clone()).collect();
        let applied = reference.apply(&records, self.world.config().now_ms).unwrap();
        assert!(applied.dead.is_empty() && applied.stalls.is_empty(), "{applied:?}");
        let mut marked: HashSet<(u32, i64)> = HashSet::new();
        for partition in LOADED..LOADED + PARTITIONS {
            let at = TopicPartition { topic: Topic::Events, partition };
            let offsets = records.iter().filter(|record| record.at == at).map(|record| record.offset);
            let (Some(first), Some(last)) = (offsets.clone().min(), offsets.max()) else { continue };
            marked.extend(reference.marks(at, first..=last).unwrap().into_iter().map(|offset| (partition, offset)));
        }
        for (fact, record) in batch {
            let Some(table) = Table::of(fact.topic()) else { continue };
            if table == Table::Events && marked.contains(&(record.at.partition, record.offset)) {
                continue;
            }
            let rows = self.rows.entry(table).or_default();
            encode(&mut rows.1, self.stage, &fact, &record);
            rows.0 += 1;
            self.loaded += 1;
            if rows.0 == INSERT {
                self.insert(table).await;
            }
        }
    }

    async fn insert(&mut self, table: Table) {
        let (_, rows) = self.rows.remove(&table).unwrap_or_default();
        self.inserts += 1;
        self.center.insert(table, &Encoded::new(rows), &format!("loaded-{}", self.inserts)).await.unwrap();
    }
}

/// A row as the sink sends it: everything loaded stands at offset 0 of its partition, below where the group is.
fn encode(out: &mut Vec<u8>, stage: &Stage, fact: &Fact, record: &Record) {
    let kind = same::kind(IDS);
    let name = fact.topic().name();
    let topic = format!("{}{name}", stage.topics.prefix);
    let partition = record.at.partition - LOADED;
    let cluster = &stage.origin.cluster;
    let origin = Origin { cluster, epoch: 0, topic: &topic, partition, offset: 0, ts: fact.time_ms };
    match (&record.outcome, &fact.what) {
        (Outcome::Change(Change::Event(event)), _) => {
            row::event(out, kind, &EventRow { event, device: "", app_ver: "" }, &origin);
        }
        (Outcome::Change(Change::Cdc(cdc)), What::Row(of)) => {
            let deleted = matches!(cdc.change, RowChange::Delete(_));
            row::cdc(out, kind, &columns(of.row), cdc.version.packed(), deleted, &origin);
        }
        other => panic!("{other:?}"),
    }
    row::seal(out, 0, 0);
}

fn columns(row: TableRow) -> CdcRow {
    match row {
        TableRow::Post { id, author, created_at, deleted_at, .. } => {
            CdcRow::Post { id, user_id: author, created_at, deleted_at }
        }
        TableRow::Follow { follower, following, created_at } => {
            CdcRow::Follow { follower_id: follower, following_id: following, created_at }
        }
        TableRow::Comment { id, post, user, created_at } => {
            CdcRow::Comment { id, post_id: post, user_id: user, created_at }
        }
        TableRow::Like { user, post, created_at } => CdcRow::Like { user_id: user, post_id: post, created_at },
        TableRow::Block { blocker, blocked, created_at } => {
            CdcRow::Block { blocker_id: blocker, blocked_id: blocked, created_at }
        }
        TableRow::User { id } => panic!("the center does not list users: {id:?}"),
    }
}

/// Kafka's log: one record that tells nothing, below which everything loaded stands, and then what is written live.
struct Log<'a> {
    stage: &'a Stage,
    producer: Producer,
    ends: BTreeMap<(Source, u32), i64>,
    written: u64,
    said: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Log<'a> {
    fn begin(stage: &'a Stage) -> Self {
        let producer = Producer::connect(&stage.topics.broker).unwrap();
        let mut ends = BTreeMap::new();
        for source in Source::ALL {
            for partition in 0..PARTITIONS {
                // A tombstone.
                let at = Some(partition.cast_signed());
                producer.send(&stage.topics.name(source), at, b"{}", None, Some(now_ms())).unwrap();
                ends.insert((source, partition), 1);
            }
        }
        producer.flush(PATIENCE).unwrap();
        let stand = crate::center::node::Node::new(stage.settings(&stage.center.url));
        stage.topics.drop_below(&ends);
        stand.must(&["sink", "resume", "--from", "earliest", "--accept-reset"]);
        Self { stage, producer, ends, written: 0, said: Vec::new() }
    }

    /// Writes so many live records, one in ten of the events twice, and has the reference apply them.
    fn write(&mut self, world: &World, reference: &Arc<Store>, count: usize) {
        self.written += 1;
        let (encoding, now) = (Encoding::new(same::kind(IDS)), now_ms());
        let mut live = world.live(self.written);
        let mut records = Vec::new();
        for number in 0..count {
            let fact = live.next_at(now);
            if Table::of(fact.topic()).is_none() {
                continue;
            }
            for message in encoding.encode(&fact) {
                records.push(self.send(fact.topic(), message.key, message.value, now));
            }
            if fact.topic() == Topic::Events && number % 10 == 0 && !self.said.is_empty() {
                let (key, value) = self.said[number % self.said.len()].clone();
                records.push(self.send(Topic::Events, key, Some(value), now));
            }
        }
        reference.apply(&records, now).unwrap();
    }

    fn send(&mut self, topic: Topic, key: Vec<u8>, value: Option<Vec<u8>>, now: i64) -> Record {
        let source = Source::ALL.into_iter().find(|source| source.name() == topic.name()).unwrap();
        let partition = partition_of(&key, PARTITIONS);
        let end = self.ends.get_mut(&(source, partition)).unwrap();
        let (offset, at) = (*end, TopicPartition { topic, partition });
        *end += 1;
        let name = self.stage.topics.name(source);
        self.producer.send(&name, Some(partition.cast_signed()), &key, value.as_deref(), Some(now)).unwrap();
        let settings = crate::log::settings(same::kind(IDS));
        let record = decode::record(at, offset, now, Some(&key), value.as_deref(), &settings, now);
        if topic == Topic::Events
            && let Some(value) = value
            && self.said.len() < 5_000
        {
            self.said.push((key, value));
        }
        record
    }

    /// Waits until Kafka has everything; the offset after the last record of each partition.
    fn delivered(&self) -> BTreeMap<(Source, u32), i64> {
        self.producer.flush(PATIENCE).unwrap();
        self.ends.clone()
    }
}
