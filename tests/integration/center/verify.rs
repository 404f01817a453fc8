//! Node, center and Kafka are held against each other: every defect that is put in is found, nothing else is, and repair
//! puts right what was found and nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_storage::key::{Family, Keys};
use edgefeed_storage::model::RowKey;
use edgefeed_sync::center::Center;
use edgefeed_sync::resync::audit::{Audit, Kind, Side, Verdict};

use super::clickhouse::ClickHouse;
use super::compare;
use super::fold::Fold;
use super::log::{Author, DAY, HOUR, Ids, Shape};
use super::parts::{Parts, busy};
use super::stage::{Member, Stage};
use super::writer::Writer;
use crate::crash::dice::times;
use crate::real::events::now_ms;

const PARTITIONS: u32 = 3;
const RATE: f64 = 8_000.0;

/// Differences by side, table and kind.
type Counted = BTreeMap<(Side, &'static str, Kind), usize>;

fn counted(verdict: &Verdict) -> Counted {
    let mut counted = Counted::new();
    for found in verdict.findings() {
        *counted.entry((found.side, found.table, found.kind)).or_default() += 1;
    }
    counted
}

/// What a stopped node, its center and Kafka are compared by.
fn audit(member: &Member) -> Audit {
    let loaded = edgefeed::config::load(&edgefeed::config::Inputs::of_process(Some(member.node.config_file()), vec![]));
    let config = loaded.unwrap().config;
    Audit {
        center: Center::new(&config.clickhouse).unwrap(),
        store: Arc::new(Store::open(&config.storage, config.store_options()).unwrap()),
        kafka: config.kafka.clone(),
        sink: config.sink.clone(),
        cluster: config.node.cluster.clone(),
        limit: Duration::from_secs(60),
        patience: Duration::from_secs(5),
        most: 100_000,
    }
}

/// A stopped node over a log that is wholly at the center.
async fn drained(stage: &Stage, events: usize, changes: usize) -> (Member, Writer) {
    let to_ms = now_ms();
    let shape = Shape {
        ids: stage.origin.ids,
        partitions: PARTITIONS,
        events,
        changes,
        from_ms: to_ms - 2 * DAY - HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, 21), RATE);
    let mut member = stage.member(0).await;
    member.node.start();
    writer.allow(events + changes);
    writer.idle().await;
    member.node.ready().await;
    stage.drained(&writer.ends()).await;
    member.leave().await;
    (member, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_defect_put_in_is_found_and_nothing_else_and_repair_leaves_none() {
    let promise = "every defect put in is found, nothing else is, and repair leaves none";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let each = times("EDGEFEED_DEFECTS", 20);
    let many = each * 40;
    for ids in [Ids::U64, Ids::Uuid] {
        let stage = Stage::new(&parts, "verify", ids, PARTITIONS).await;
        let (mut member, writer) = drained(&stage, (6 * many).max(6_000), (6 * many).max(4_000)).await;
        let audit = audit(&member);
        let clean = audit.verify(now_ms()).await.unwrap();
        assert_eq!(counted(&clean), Counted::new(), "{:#?}", clean.findings());
        assert_eq!(clean.unproved, Vec::<String>::new());
        assert!(clean.compared["events"] > 5_000, "{:?}", clean.compared);
        let before = everything_held(&audit.store);

        // The log's rows at the center; what follows from them in the views and beside the node is not told.
        let planted = spoil_center(&stage.center, each).await;
        let found = audit.verify(now_ms()).await.unwrap();
        assert_eq!(counted(&found), planted, "{:#?}", found.findings());
        mend(&audit, &stage).await;
        assert_eq!(everything_held(&audit.store), before, "the node was right and stays as it is");

        // The node's own.
        let planted = spoil_node(&audit.store, each);
        let found = audit.verify(now_ms()).await.unwrap();
        assert_eq!(counted(&found), planted, "{:#?}", found.findings());
        mend(&audit, &stage).await;
        assert_eq!(everything_held(&audit.store), before, "the node is what it was");

        // The views themselves, of closed days and the open one.
        let planted = spoil_views(&stage.center, each).await;
        let found = audit.verify(now_ms()).await.unwrap();
        assert_eq!(counted(&found), planted, "{:#?}", found.findings());
        mend(&audit, &stage).await;
        drop(audit);
        the_verbs(&stage, &mut member).await;
        // Mended rows came by no insert of the sink, so they bear no range; everything else is as the sink would have it.
        let fold = Fold::of(&writer.finish());
        let held = stage.center.number("SELECT toString(count()) FROM DB.events FINAL").await;
        assert_eq!(held, fold.events.len() as u64, "distinct events");
        compare::views(&stage.center, ids, &fold).await;
        compare::views_against_events(&stage.center).await;
        compare::rows(&stage.center, &stage.origin, &fold).await;
        stage.center.drop_database().await;
    }
}

/// The same by the command line, at a free store and at a running node.
async fn the_verbs(stage: &Stage, member: &mut Member) {
    let told = member.node.must(&["resync", "verify"]);
    assert!(told.contains("nothing differs"), "{told}");
    stage.center.run("ALTER TABLE DB.follows_cdc DELETE WHERE _deleted = 0 AND _offset = (SELECT min(_offset) FROM DB.follows_cdc WHERE _deleted = 0) SETTINGS mutations_sync = 2").await;
    let (well, told) = member.node.verb(&["resync", "verify", "--output", "json"]);
    assert!(!well && told.contains(r#""kind": "lost""#) | told.contains(r#""kind":"lost""#), "{told}");
    let told = member.node.must(&["resync", "repair"]);
    assert!(told.contains("mended") && told.contains("follows_cdc"), "{told}");
    member.node.start_ready().await;
    let told = member.node.must(&["resync", "verify"]);
    assert!(told.contains("nothing differs"), "{told}");
    assert_eq!(member.node.metric("edgefeed_resync_drift_ratio").await, [(String::new(), 0.0)]);
    member.leave().await;
}

const CDC: [&str; 5] = ["posts_cdc", "follows_cdc", "comments_cdc", "likes_cdc", "blocks_cdc"];
const FAMILIES: [(Family, &str); 7] = [
    (Family::Posts, "posts_cdc"),
    (Family::Follows, "follows_cdc"),
    (Family::Comments, "comments_cdc"),
    (Family::Likes, "likes_cdc"),
    (Family::Blocks, "blocks_cdc"),
    (Family::PostHours, "post_hours"),
    (Family::UserAuthorDays, "user_author_days"),
];

/// Repairs, and finds nothing more to repair.
async fn mend(audit: &Audit, stage: &Stage) {
    for table in CDC.iter().chain(&["events"]) {
        stage.center.run(&format!("SYSTEM START MERGES DB.{table}")).await;
    }
    let (mended, left) = audit.repair(now_ms()).await.unwrap();
    assert!(left.is_clean(), "{:#?} after {mended:#?}", left.findings());
    assert_eq!(mended.left, Vec::<String>::new());
    let (again, _) = audit.repair(now_ms()).await.unwrap();
    assert!(again.rows.is_empty(), "nothing is mended twice: {again:#?}");
}

/// All rows, indexes and counts of a store.
fn everything_held(store: &Store) -> BTreeMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>> {
    let families = FAMILIES.iter().map(|(family, _)| *family);
    let derived = [Family::AuthorPosts, Family::Followers, Family::BlockedBy, Family::PostCounts];
    let held = |family: Family| {
        let mut all = BTreeMap::new();
        store.each_raw(family, |key, value| drop(all.insert(key.to_vec(), value.to_vec()))).unwrap();
        (family.name(), all)
    };
    families.chain(derived).map(held).collect()
}

/// Loses, alters and doubles rows of the log at the center, by plain statements; tells what there is to be found.
async fn spoil_center(center: &ClickHouse, each: usize) -> Counted {
    let mut planted = Counted::new();
    for table in CDC.iter().chain(&["events"]).copied() {
        // Merged, so that every row there is counts.
        center.run(&format!("OPTIMIZE TABLE DB.{table} FINAL")).await;
        let live = if table == "events" { "1" } else { "_deleted = 0" };
        let question = format!(
            "SELECT toString(_partition), toString(_offset) FROM DB.{table} FINAL WHERE {live} \
             ORDER BY cityHash64(_partition, _offset) LIMIT {}",
            3 * each
        );
        let places: Vec<[String; 2]> = center.rows(&question).await;
        assert_eq!(places.len(), 3 * each, "{table} is too small for this");
        let list = |from: usize| {
            let places: Vec<String> =
                places[from..from + each].iter().map(|[at, offset]| format!("({at},{offset})")).collect();
            format!("(_partition, _offset) IN ({})", places.join(","))
        };
        let (doubled, altered, lost) = (list(0), list(each), list(2 * each));
        let change =
            if table == "events" { "device = 'another'" } else { "created_at = created_at + INTERVAL 1 SECOND" };
        center
            .run(&format!("ALTER TABLE DB.{table} UPDATE {change} WHERE {altered} SETTINGS mutations_sync = 2"))
            .await;
        center.run(&format!("ALTER TABLE DB.{table} DELETE WHERE {lost} SETTINGS mutations_sync = 2")).await;
        center.run(&format!("SYSTEM STOP MERGES DB.{table}")).await;
        past_the_views(center, table, &doubled).await;
        for kind in [Kind::Doubled, Kind::Altered, Kind::Lost] {
            planted.insert((Side::Center, table, kind), each);
        }
    }
    planted
}

/// Writes rows a second time, past the views.
async fn past_the_views(center: &ClickHouse, table: &str, which: &str) {
    let copy = format!("copy_of_{table}");
    center.run(&format!("CREATE TABLE DB.{copy} AS DB.{table}")).await;
    center.run(&format!("INSERT INTO DB.{copy} SELECT * FROM DB.{table} WHERE {which}")).await;
    let question = format!(
        "SELECT DISTINCT partition_id FROM system.parts WHERE database = '{}' AND table = '{copy}' AND active",
        center.database
    );
    let partitions: Vec<[String; 1]> = center.rows(&question).await;
    for [partition] in partitions {
        center.run(&format!("ALTER TABLE DB.{table} ATTACH PARTITION ID '{partition}' FROM DB.{copy}")).await;
    }
    center.run(&format!("DROP TABLE DB.{copy}")).await;
}

/// Loses rows of this node, gives others the values of their neighbours, and counts others twice.
fn spoil_node(store: &Store, each: usize) -> Counted {
    let mut planted = Counted::new();
    for (family, table) in FAMILIES {
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        store.each_raw(family, |key, value| rows.push((key.to_vec(), value.to_vec()))).unwrap();
        rows.retain(|(key, _)| is_live(store, family, key) && is_compared(family, key));
        // Apart from each other, and neighbours whose values differ.
        let step = rows.len() / (3 * each + 3);
        assert!(step > 1, "{table} is too small for this: {}", rows.len());
        let counts = matches!(family, Family::PostHours | Family::UserAuthorDays);
        let mut plant = |kind| *planted.entry((Side::Node, table, kind)).or_default() += 1;
        for number in 0..each {
            store.spoil(family, &rows[3 * number * step].0, None).unwrap();
            plant(Kind::Lost);
            let at = (3 * number + 1) * step;
            let value = &rows[at].1;
            // A neighbour's count that happens to be this one's twice would rightly be told as counted twice.
            let differs = |other: &[u8]| other != value && !(counts && other[..29] == twice(value)[..29]);
            if let Some((_, other)) = rows[at..].iter().find(|(_, other)| differs(other)) {
                store.spoil(family, &rows[at].0, Some(other)).unwrap();
                plant(Kind::Altered);
            }
            if counts {
                let (key, value) = &rows[(3 * number + 2) * step];
                store.spoil(family, key, Some(&twice(value))).unwrap();
                plant(Kind::Doubled);
            }
        }
    }
    planted
}

/// Whether the count of a post's hour is young enough to be compared: verify leaves out the last day that nodes keep.
fn is_compared(family: Family, key: &[u8]) -> bool {
    let hour = |key: &[u8]| u32::from_be_bytes(key[key.len() - 4..].try_into().unwrap());
    family != Family::PostHours || i64::from(hour(key)) >= (now_ms() - 7 * DAY) / HOUR + 2
}

/// A stored count, counted twice: a version byte, five counts of four bytes, the time dwelt of eight, and what does not add.
fn twice(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    for at in (1..21).step_by(4) {
        let count = u32::from_le_bytes(value[at..at + 4].try_into().unwrap());
        value[at..at + 4].copy_from_slice(&(2 * count).to_le_bytes());
    }
    let dwelt = u64::from_le_bytes(value[21..29].try_into().unwrap());
    value[21..29].copy_from_slice(&(2 * dwelt).to_le_bytes());
    value
}

fn is_live(store: &Store, family: Family, key: &[u8]) -> bool {
    let keys = Keys(store.ids());
    let one = || keys.split::<1>(key).map(|([id], _)| id).unwrap();
    let two = || keys.split::<2>(key).map(|(ids, _)| ids).unwrap();
    let link = |key| store.link_row(key).unwrap().is_some_and(|row| row.removed.is_none());
    match family {
        Family::Posts => {
            store.post_row(one()).unwrap().is_some_and(|row| row.removed.is_none() && row.author.is_some())
        }
        Family::Comments => store.comment_row(one()).unwrap().is_some_and(|row| row.live().is_some()),
        Family::Follows => link(RowKey::Follow(two()[0], two()[1])),
        Family::Likes => link(RowKey::Like(two()[0], two()[1])),
        Family::Blocks => link(RowKey::Block(two()[0], two()[1])),
        _ => true,
    }
}

/// Loses, doubles and alters sums, of whatever day they arrived on.
async fn spoil_views(center: &ClickHouse, each: usize) -> Counted {
    let mut planted = Counted::new();
    let keys = [
        ("post_metrics_1h", "post_id, window_start, arrival_day"),
        ("post_metrics_daily", "post_id, day, arrival_day"),
        ("user_author_90d", "user_id, author_id, day, arrival_day"),
    ];
    for (view, key) in keys {
        center.run(&format!("OPTIMIZE TABLE DB.{view} FINAL")).await;
        let texts: Vec<String> = key.split(", ").map(|column| format!("toString({column})")).collect();
        let name = format!("arrayStringConcat([{}], ' ')", texts.join(", "));
        let question = format!("SELECT {name} AS name FROM DB.{view} ORDER BY cityHash64(name) LIMIT {}", 3 * each);
        let names: Vec<[String; 1]> = center.rows(&question).await;
        assert_eq!(names.len(), 3 * each, "{view} is too small for this");
        let list = |from: usize| {
            let names: Vec<String> = names[from..from + each].iter().map(|[name]| format!("'{name}'")).collect();
            format!("{name} IN ({})", names.join(","))
        };
        let (lost, doubled, altered) = (list(0), list(each), list(2 * each));
        center.run(&format!("ALTER TABLE DB.{view} DELETE WHERE {lost} SETTINGS mutations_sync = 2")).await;
        let plain = "SETTINGS insert_deduplicate = 0, async_insert = 0";
        center.run(&format!("INSERT INTO DB.{view} {plain} SELECT * FROM DB.{view} WHERE {doubled}")).await;
        center.run(&format!("INSERT INTO DB.{view} {plain} SELECT * REPLACE (views + 1000003 AS views) FROM DB.{view} WHERE {altered}")).await;
        for kind in [Kind::Lost, Kind::Doubled, Kind::Altered] {
            planted.insert((Side::Center, view, kind), each);
        }
    }
    planted
}
