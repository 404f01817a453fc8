//! The proofs of the center compare a fold with what stands in ClickHouse. Here the log goes in by hand, without
//! edgefeed: only if that is found right, and a single wrong row is found, can the proofs be believed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::clickhouse::ClickHouse;
use super::compare::{self, Origin};
use super::fold::Fold;
use super::log::{Author, Change, DAY, Entry, EventRow, HOUR, Ids, Means, Shape, Source};
use super::parts::{Parts, own_name};
use crate::real::events::now_ms;

fn shape(ids: Ids) -> Shape {
    let to_ms = now_ms();
    Shape {
        ids,
        partitions: 3,
        events: 6_000,
        changes: 2_000,
        from_ms: to_ms - 6 * HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    }
}

#[test]
fn the_log_has_everything_the_proof_speaks_of() {
    for ids in [Ids::U64, Ids::Uuid] {
        let mut author = Author::new(shape(ids), 7);
        let log: Vec<Entry> = (0..8_000).flat_map(|_| author.next()).collect();
        let count = |wanted: &dyn Fn(&Entry) -> bool| log.iter().filter(|entry| wanted(entry)).count();
        let event =
            |entry: &Entry, is: &dyn Fn(&EventRow) -> bool| matches!(&*entry.means, Means::Event(row) if is(row));
        let repeats = count(&|entry| matches!(*entry.means, Means::Repeat));
        assert!((250..400).contains(&repeats), "5 % of 6,000 are repeats: {repeats}");
        let late = count(&|entry| event(entry, &|row| row.time_ms < entry.time_ms - DAY));
        assert!((200..400).contains(&late), "5 % are late by days: {late}");
        assert!(count(&|entry| event(entry, &|row| row.id.is_none())) > 100, "events without an id");
        assert!(count(&|entry| event(entry, &|row| row.author.is_none())) > 200, "events without an author");
        assert!(count(&|entry| matches!(*entry.means, Means::Bad)) > 10, "records for nobody");
        assert!(count(&|entry| matches!(*entry.means, Means::Nothing)) > 100, "tombstones");
        for source in Source::CDC {
            let lsns: Vec<u64> = log.iter().filter(|entry| entry.source == source).filter_map(lsn).collect();
            assert!(lsns.windows(2).any(|pair| pair[1] < pair[0]), "{}: older versions again", source.name());
        }
        let largest = log.iter().filter_map(|entry| entry.value.as_ref()).map(Vec::len).max();
        assert!(largest < Some(1_000), "{largest:?}: ordinary records are small");
        assert!(log.windows(2).all(|pair| pair[0].time_ms <= pair[1].time_ms), "record time goes on");
    }
}

fn lsn(entry: &Entry) -> Option<u64> {
    if let Means::Change(change) = &*entry.means { Some(change.lsn) } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_put_in_by_hand_is_found_right_and_one_wrong_row_is_found() {
    let promise = "a log put in by hand is found right, and one wrong row is found";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    for ids in [Ids::U64, Ids::Uuid] {
        let center = ClickHouse::new(&parts.clickhouse, &own_name("by_hand"));
        center.tables_by_hand(ids).await;
        let origin = Origin { ids, cluster: "hand".to_owned(), epoch: 0, topics: "t.".to_owned() };
        let mut author = Author::new(shape(ids), 11);
        let log: Vec<Entry> = (0..8_000).flat_map(|_| author.next()).collect();
        put_in(&center, &origin, &log).await;
        let fold = Fold::of(&log);
        compare::everything(&center, &origin, &fold).await;

        // Each of these is one thing that could go wrong, put in and found.
        let event = log.iter().find(|entry| matches!(*entry.means, Means::Event(_))).unwrap();
        put_in(&center, &origin, [event]).await;
        let found = refused(compare::views_and_events(&center, &origin, &fold)).await;
        assert!(found.contains("twice") || found.contains("differ"), "a row put in twice: {found}");
        center.drop_database().await;

        let without = fold.events.first_key_value().unwrap();
        let mut less = fold.clone();
        less.events.remove(&without.0.clone());
        center.tables_by_hand(ids).await;
        put_in(&center, &origin, &log).await;
        let found = refused(compare::events(&center, &origin, &less)).await;
        assert!(found.contains("1 are not expected"), "a row too many: {found}");
        center.run("ALTER TABLE DB.user_author_90d DELETE WHERE views > 0 SETTINGS mutations_sync = 1").await;
        let found = refused(compare::views(&center, ids, &fold)).await;
        assert!(found.contains("are missing"), "sums that are gone: {found}");
        let found = refused(compare::views_against_events(&center)).await;
        assert!(found.contains("too little"), "sums that are gone: {found}");
        center.drop_database().await;
    }
}

/// What a comparison fails with.
async fn refused(comparison: impl Future<Output = ()>) -> String {
    use futures_util::FutureExt as _;
    let refused =
        std::panic::AssertUnwindSafe(comparison).catch_unwind().await.expect_err("the difference is not seen");
    refused.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Writes what the records mean, a batch a table, as a person would.
async fn put_in(center: &ClickHouse, origin: &Origin, log: impl IntoIterator<Item = &Entry>) {
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for entry in log {
        let row = match &*entry.means {
            Means::Event(row) => event(origin, entry, row),
            Means::Change(change) => changed(origin, entry, change),
            Means::Repeat | Means::Nothing | Means::Bad => continue,
        };
        *rows.entry(entry.source.table()).or_default() += &format!("{row}\n");
    }
    for (table, rows) in rows {
        let lenient = "input_format_defaults_for_omitted_fields = 1, async_insert = 0, insert_deduplicate = 0, \
                       max_partitions_per_insert_block = 0";
        center.run(&format!("INSERT INTO DB.{table} SETTINGS {lenient} FORMAT JSONEachRow\n{rows}")).await;
    }
}

fn place(origin: &Origin, entry: &Entry) -> Value {
    json!({
        "_cluster": origin.cluster, "_epoch": origin.epoch, "_topic": format!("t.{}", entry.source.name()),
        "_partition": entry.partition, "_offset": entry.offset, "_ts": decimal(entry.time_ms),
        "_range_first": entry.offset, "_range_last": entry.offset,
    })
}

/// Seconds with a fraction, which `DateTime64` takes without a doubt about the unit.
fn decimal(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1_000), time_ms.rem_euclid(1_000))
}

fn event(origin: &Origin, entry: &Entry, row: &EventRow) -> Value {
    let mut json = place(origin, entry);
    let derived = uuid::Uuid::from_u64_pair(u64::from(entry.partition) + 1, entry.offset.cast_unsigned());
    let id = |id: u128| json!(origin.ids.text(id));
    json["event_id"] = json!(row.id.unwrap_or(derived).to_string());
    json["event_time"] = json!(decimal(row.time_ms));
    json["user_id"] = id(row.user);
    json["post_id"] = id(row.post);
    json["author_id"] = row.author.map_or(Value::Null, id);
    json["action"] = json!(row.action);
    json["dwell_ms"] = json!(row.dwell_ms);
    json["device"] = json!(row.device);
    json["app_ver"] = json!(row.app_ver);
    json
}

fn changed(origin: &Origin, entry: &Entry, change: &Change) -> Value {
    let mut json = place(origin, entry);
    let ids = change.row.as_ref().map_or(&change.key, |row| &row.ids);
    for (name, id) in entry.source.id_columns().iter().zip(ids) {
        json[*name] = json!(origin.ids.text(*id));
    }
    json["_version"] = json!(change.lsn);
    json["_deleted"] = json!(u8::from(change.row.is_none()));
    if let Some(row) = &change.row {
        json["created_at"] = json!(decimal(row.created_ms));
        if entry.source == Source::Posts {
            json["deleted_at"] = row.deleted_ms.map_or(Value::Null, |time| json!(decimal(time)));
        }
    }
    json
}
