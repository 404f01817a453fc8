//! Node, center and Kafka are held against each other: every defect that is put in is found, nothing else is, and repair
//! puts right what was found and nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::key::Family;
use edgefeed_storage::model::RowKey;
use edgefeed_storage::{LinkRow, Mend, Store};
use edgefeed_sync::center::Center;
use edgefeed_sync::resync::audit::{Audit, Kind, Side, Verdict};

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
    for ids in [Ids::U64, Ids::Uuid] {
        let stage = Stage::new(&parts, "verify", ids, PARTITIONS).await;
        let (member, writer) = drained(&stage, 6_000, 4_000).await;
        let audit = audit(&member);
        let clean = audit.verify(now_ms()).await.unwrap();
        assert_eq!(counted(&clean), Counted::new(), "{:#?}", clean.findings());
        assert_eq!(clean.unproved, Vec::<String>::new());
        assert!(clean.compared["events"] > 5_000, "{:?}", clean.compared);

        let planted = plant(&stage, &audit.store, each).await;
        let found = audit.verify(now_ms()).await.unwrap();
        assert_eq!(counted(&found), planted, "{:#?}", found.findings());

        let (mended, left) = audit.repair(now_ms()).await.unwrap();
        assert!(left.is_clean(), "{:#?} after {mended:#?}", left.findings());
        assert_eq!(mended.left, Vec::<String>::new());
        drop(audit);
        let log = writer.finish();
        stage.check(&log, &BTreeSet::new()).await;
        stage.center.drop_database().await;
    }
}

/// Puts defects in by plain statements, and tells what there is to be found.
async fn plant(stage: &Stage, store: &Store, each: usize) -> Counted {
    let mut planted = Counted::new();
    let center = &stage.center;
    let tables = ["events", "posts_cdc", "follows_cdc", "comments_cdc", "likes_cdc", "blocks_cdc"];
    for table in tables {
        center.run(&format!("SYSTEM STOP MERGES DB.{table}")).await;
        // Merged first, so that every row there is counts.
        center.run(&format!("SYSTEM START MERGES DB.{table}")).await;
        center.run(&format!("OPTIMIZE TABLE DB.{table} FINAL")).await;
        center.run(&format!("SYSTEM STOP MERGES DB.{table}")).await;
        let live = if table == "events" { "1" } else { "_deleted = 0" };
        let pick = |from: usize| {
            format!(
                "(_topic, _partition, _offset) IN (SELECT _topic, _partition, _offset FROM DB.{table} FINAL \
                 WHERE {live} AND _topic NOT LIKE '%resync' ORDER BY cityHash64(_partition, _offset) LIMIT {each} OFFSET {from})"
            )
        };
        // Doubled and altered first: what is picked must not move.
        let altered = if table == "events" { "device = 'another'" } else { "created_at = created_at + INTERVAL 1 SECOND" };
        let (doubled, changed, lost) = (pick(0), pick(each), pick(2 * each));
        let names = center.run(&format!("SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns WHERE database = '{}' AND table = '{table}'", center.database)).await;
        let names = names.trim();
        let lost_places = center.run(&format!("SELECT arrayStringConcat(groupArray(concat('(', toString(_partition), ',', toString(_offset), ')')), ',') FROM DB.{table} FINAL WHERE {lost}")).await;
        let lost_places = lost_places.trim().to_owned();
        let changed_places = center.run(&format!("SELECT arrayStringConcat(groupArray(concat('(', toString(_partition), ',', toString(_offset), ')')), ',') FROM DB.{table} FINAL WHERE {changed}")).await;
        let changed_places = changed_places.trim().to_owned();
        beside_the_views(center, table, names, &doubled).await;
        center.run(&format!("ALTER TABLE DB.{table} UPDATE {altered} WHERE (_partition, _offset) IN ({changed_places}) SETTINGS mutations_sync = 2")).await;
        center.run(&format!("ALTER TABLE DB.{table} DELETE WHERE (_partition, _offset) IN ({lost_places}) SETTINGS mutations_sync = 2")).await;
        for kind in [Kind::Doubled, Kind::Altered, Kind::Lost] {
            planted.insert((Side::Center, table_name(table), kind), each);
        }
    }
    let _ = store;
    planted
}

/// Names that outlive the statement.
fn table_name(table: &str) -> &'static str {
    match table {
        "events" => "events",
        "posts_cdc" => "posts_cdc",
        "follows_cdc" => "follows_cdc",
        "comments_cdc" => "comments_cdc",
        "likes_cdc" => "likes_cdc",
        "blocks_cdc" => "blocks_cdc",
        other => panic!("{other}"),
    }
}

/// Writes rows a second time, past the views.
async fn beside_the_views(center: &super::clickhouse::ClickHouse, table: &str, columns: &str, which: &str) {
    center.run(&format!("CREATE TABLE DB.copy_of_{table} AS DB.{table}")).await;
    center.run(&format!("INSERT INTO DB.copy_of_{table} ({columns}) SELECT {columns} FROM DB.{table} FINAL WHERE {which}")).await;
    let partitions: Vec<[String; 1]> = center
        .rows(&format!("SELECT DISTINCT partition_id FROM system.parts WHERE database = '{}' AND table = 'copy_of_{table}' AND active", center.database))
        .await;
    for [partition] in partitions {
        center.run(&format!("ALTER TABLE DB.{table} ATTACH PARTITION ID '{partition}' FROM DB.copy_of_{table}")).await;
    }
    center.run(&format!("DROP TABLE DB.copy_of_{table}")).await;
}
