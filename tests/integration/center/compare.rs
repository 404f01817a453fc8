//! Holds the center against the fold of a log: every row, every sum, every letter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::clickhouse::ClickHouse;
use super::fold::{Fold, Place, Sums};
use super::log::{EventRow, Ids, Row, Source};

/// Where a log comes from, as its rows must tell.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) ids: Ids,
    pub(crate) cluster: String,
    pub(crate) epoch: u32,
    /// Of a topic, what stands in front of `events` or a table's name.
    pub(crate) topics: String,
}

/// The whole center is this log's.
pub(crate) async fn everything(center: &ClickHouse, origin: &Origin, fold: &Fold) {
    events(center, origin, fold).await;
    let held = center.number("SELECT toString(count()) FROM DB.events FINAL").await;
    assert_eq!(held, fold.events.len() as u64, "distinct events, of whatever log");
    views(center, origin.ids, fold).await;
    views_against_events(center).await;
    rows(center, origin, fold).await;
}

/// The events, and what the views made of them.
pub(crate) async fn views_and_events(center: &ClickHouse, origin: &Origin, fold: &Fold) {
    events(center, origin, fold).await;
    views(center, origin.ids, fold).await;
}

/// The events of this log, and no other of its cluster and epoch: row for row, and none twice.
pub(crate) async fn events(center: &ClickHouse, origin: &Origin, fold: &Fold) {
    let question = format!(
        "SELECT toString(_partition), toString(_offset), toString(event_id), \
         toString(toUnixTimestamp64Milli(event_time)), toString(user_id), toString(post_id), \
         ifNull(toString(author_id), ''), toString(action), toString(dwell_ms), toString(device), toString(app_ver), \
         toString(_topic), toString(toUnixTimestamp64Milli(_ts)), toString(_range_first), toString(_range_last) \
         FROM DB.events WHERE _cluster = '{}' AND _epoch = {}",
        origin.cluster, origin.epoch
    );
    let rows: Vec<[String; 15]> = center.rows(&question).await;
    let (mut found, mut derived, mut ranges, mut doubled) =
        (BTreeMap::new(), BTreeSet::new(), BTreeMap::<u32, BTreeSet<(i64, i64)>>::new(), Vec::new());
    for row in rows {
        let [partition, offset, id, shown @ .., first, last] = row;
        let place: Place = (partition.parse().unwrap(), offset.parse().unwrap());
        let (first, last): (i64, i64) = (first.parse().unwrap(), last.parse().unwrap());
        assert!((first..=last).contains(&place.1), "{place:?} came with the range {first}-{last}");
        ranges.entry(place.0).or_default().insert((first, last));
        let named = fold.events.get(&place).is_none_or(|(row, _)| row.id.is_some());
        if !named {
            // Which id an event without one is given is the node's affair; that it is one of its own is not.
            assert!(id != uuid::Uuid::nil().to_string() && derived.insert(id.clone()), "{place:?}: derived id {id}");
        }
        let shown: Vec<String> = [if named { id } else { String::new() }].into_iter().chain(shown).collect();
        if found.insert(place, shown).is_some() {
            doubled.push(place);
        }
    }
    assert!(doubled.is_empty(), "{} rows stand twice in events, so {:?}", doubled.len(), &doubled[..1]);
    let expected = fold.events.iter().map(|(place, (row, ts))| (*place, event_texts(origin, row, *ts))).collect();
    same("events", &expected, &found);
    for (partition, ranges) in ranges {
        let overlap = ranges.iter().zip(ranges.iter().skip(1)).find(|(one, next)| next.0 <= one.1);
        assert!(overlap.is_none(), "ranges of events-{partition} overlap: {overlap:?}");
    }
}

fn event_texts(origin: &Origin, row: &EventRow, ts: i64) -> Vec<String> {
    let id = |id: u128| origin.ids.text(id);
    vec![
        row.id.map(|id| id.to_string()).unwrap_or_default(),
        row.time_ms.to_string(),
        id(row.user),
        id(row.post),
        row.author.map(id).unwrap_or_default(),
        row.action.to_owned(),
        row.dwell_ms.to_string(),
        row.device.clone(),
        row.app_ver.clone(),
        format!("{}events", origin.topics),
        ts.to_string(),
    ]
}

/// The counters every view sums.
const SUMS: &str = "sum(views), sum(impressions), sum(likes), sum(comments), sum(shares), sum(dwell_ms)";

/// Every table a view feeds equals the fold.
pub(crate) async fn views(center: &ClickHouse, ids: Ids, fold: &Fold) {
    let texts = |numbers: &[i64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of_post = |map: &BTreeMap<(u128, i64, i64), Sums>| -> BTreeMap<Vec<String>, Vec<u64>> {
        let key = |key: &(u128, i64, i64)| [vec![ids.text(key.0)], texts(&[key.1, key.2])].concat();
        map.iter().map(|(at, sums)| (key(at), sums[..6].to_vec())).collect()
    };
    let found = aggregated(center, "post_metrics_1h", &["post_id", "toUnixTimestamp(window_start)"], "").await;
    same("post_metrics_1h", &of_post(&fold.hours), &found);
    let found = aggregated(center, "post_metrics_daily", &["post_id", "toUInt32(day)"], "").await;
    same("post_metrics_daily", &of_post(&fold.days), &found);

    let last = ", max(toUnixTimestamp64Milli(last_ts))";
    let found = aggregated(center, "user_author_90d", &["user_id", "author_id", "toUInt32(day)"], last).await;
    let key = |key: &(u128, u128, i64, i64)| [vec![ids.text(key.0), ids.text(key.1)], texts(&[key.2, key.3])].concat();
    let expected = fold.pairs.iter().map(|(at, sums)| (key(at), sums.to_vec())).collect();
    same("user_author_90d", &expected, &found);
}

async fn aggregated(center: &ClickHouse, table: &str, by: &[&str], more: &str) -> BTreeMap<Vec<String>, Vec<u64>> {
    let by: Vec<String> = by.iter().chain(&["toUInt32(arrival_day)"]).map(|key| format!("toString({key})")).collect();
    let by = by.join(", ");
    let question = format!("SELECT [{by}], arrayMap(x -> toString(x), [{SUMS}{more}]) FROM DB.{table} GROUP BY {by}");
    let question =
        question.replace("max(toUnixTimestamp64Milli(last_ts))", "toUInt64(max(toUnixTimestamp64Milli(last_ts)))");
    let rows: Vec<(Vec<String>, Vec<String>)> = center.rows(&question).await;
    let numbers = |texts: Vec<String>| texts.iter().map(|text| text.parse().unwrap()).collect();
    rows.into_iter().map(|(key, sums)| (key, numbers(sums))).collect()
}

/// Every table a view feeds equals its aggregation computed anew from `events`.
pub(crate) async fn views_against_events(center: &ClickHouse) {
    let counts = "countIf(action = 'view'), countIf(action = 'impression'), countIf(action = 'like'), \
                  countIf(action = 'comment'), countIf(action = 'share'), sum(toUInt64(dwell_ms))";
    let arrival = "toDate(_ts, 'UTC')";
    let day = "toDate(event_time, 'UTC')";
    for (table, kept, anew, more, more_anew, only) in [
        ("post_metrics_1h", "post_id, window_start", "post_id, toStartOfHour(event_time, 'UTC')", "", "", "1"),
        ("post_metrics_daily", "post_id, day", &format!("post_id, {day}"), "", "", "1"),
        (
            "user_author_90d",
            "user_id, author_id, day",
            &format!("user_id, assumeNotNull(author_id), {day}"),
            ", max(last_ts)",
            ", max(event_time)",
            "author_id IS NOT NULL",
        ),
    ] {
        let kept = format!("SELECT {kept}, arrival_day, {SUMS}{more} FROM DB.{table} GROUP BY {kept}, arrival_day");
        let anew = format!(
            "SELECT {anew}, {arrival}, {counts}{more_anew} FROM DB.events FINAL \
             WHERE ({only}) AND NOT (action = 'hide' AND dwell_ms = 0) GROUP BY {anew}, {arrival}"
        );
        for (what, one, other) in [("too much", &kept, &anew), ("too little", &anew, &kept)] {
            let wrong = center.number(&format!("SELECT toString(count()) FROM ({one} EXCEPT {other})")).await;
            assert_eq!(wrong, 0, "{table} holds {what}, against its aggregation from events");
        }
    }
}

/// The tables of the application, read with FINAL.
pub(crate) async fn rows(center: &ClickHouse, origin: &Origin, fold: &Fold) {
    for source in Source::CDC {
        let deleted = if source == Source::Posts { "toUnixTimestamp64Milli(deleted_at)" } else { "NULL" };
        let ids: Vec<String> = source.id_columns().iter().map(|name| format!("toString({name})")).collect();
        let question = format!(
            "SELECT [{}], [toString(toUnixTimestamp64Milli(created_at)), ifNull(toString({deleted}), ''), \
             toString(_version), toString(_cluster), toString(_epoch), toString(_topic)] FROM DB.{} FINAL",
            ids.join(", "),
            source.table()
        );
        let found: Vec<(Vec<String>, Vec<String>)> = center.rows(&question).await;
        let count = found.len();
        let found: BTreeMap<_, _> = found.into_iter().collect();
        assert_eq!(count, found.len(), "rows of {} FINAL that stand twice", source.table());
        let text = |row: &Row, lsn: &u64| {
            let ids = row.ids.iter().map(|id| origin.ids.text(*id)).collect::<Vec<_>>();
            let rest = vec![
                row.created_ms.to_string(),
                row.deleted_ms.map(|time| time.to_string()).unwrap_or_default(),
                lsn.to_string(),
                origin.cluster.clone(),
                origin.epoch.to_string(),
                format!("{}{}", origin.topics, source.name()),
            ];
            (ids, rest)
        };
        let mine = fold.rows.iter().filter(|((of, _), _)| *of == source);
        let expected = mine.filter_map(|(_, (lsn, row))| Some(text(row.as_ref()?, lsn))).collect();
        same(&source.table(), &expected, &found);
    }
}

/// Fails with the first few of each difference.
pub(crate) fn same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    expected: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) {
    let missing: Vec<_> = expected.iter().filter(|(key, _)| !found.contains_key(*key)).collect();
    let extra: Vec<_> = found.iter().filter(|(key, _)| !expected.contains_key(*key)).collect();
    let other: Vec<_> = expected
        .iter()
        .filter_map(|(key, value)| found.get(key).filter(|held| *held != value).map(|held| (key, value, held)))
        .collect();
    let few = 3;
    assert!(
        missing.is_empty() && extra.is_empty() && other.is_empty(),
        "{what}: of {} expected {} are missing, such as {:?};\n{} are not expected, such as {:?};\n{} differ, such as \
         (key, expected, found) {:?}",
        expected.len(),
        missing.len(),
        &missing[..missing.len().min(few)],
        extra.len(),
        &extra[..extra.len().min(few)],
        other.len(),
        &other[..other.len().min(few)],
    );
}
