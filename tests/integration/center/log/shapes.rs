//! Row changes as Debezium's JSON converter writes them.

use serde_json::{Map, Value, json};

use super::{Ids, Row, Source};

/// The key of a record: the primary key's columns.
pub(super) fn key_json(ids: Ids, source: Source, key: &[u128]) -> Value {
    let columns = source.id_columns().iter().zip(key);
    Value::Object(columns.map(|(name, id)| ((*name).to_owned(), ids.json(*id))).collect())
}

/// The value of a record. `shape`: 0 and 1 the envelope, 2 the same within `schema` and `payload`, 3 flattened.
pub(super) fn change_json(
    ids: Ids,
    source: Source,
    shape: usize,
    op: &str,
    row: &Row,
    lsn: u64,
    time_ms: i64,
) -> Value {
    let columns = columns(ids, source, op, row, lsn);
    let commit_ms = time_ms - 20;
    if shape == 3 {
        let mut flat = columns;
        flat.insert("__op".to_owned(), json!(op));
        flat.insert("__deleted".to_owned(), json!(if op == "d" { "true" } else { "false" }));
        flat.insert("__table".to_owned(), json!(source.name()));
        flat.insert("__lsn".to_owned(), json!(lsn));
        flat.insert("__source_ts_ms".to_owned(), json!(commit_ms));
        return Value::Object(flat);
    }
    let (before, after) = if op == "d" { (json!(columns), Value::Null) } else { (Value::Null, json!(columns)) };
    let envelope = json!({
        "before": before,
        "after": after,
        "source": {
            "version": "3.6.3.Final", "connector": "postgresql", "name": "cdc", "ts_ms": commit_ms,
            "snapshot": "false", "db": "app", "schema": "public", "table": source.name(), "lsn": lsn,
        },
        "op": op,
        "ts_ms": commit_ms + 5,
    });
    if shape == 2 { json!({ "schema": null, "payload": envelope }) } else { envelope }
}

/// Of a deleted row only the key is there, or zeros as the real connector writes them.
fn columns(ids: Ids, source: Source, op: &str, row: &Row, lsn: u64) -> Map<String, Value> {
    let mut columns = Map::new();
    for (at, (name, id)) in source.id_columns().iter().zip(&row.ids).enumerate() {
        if op != "d" || at < source.key_width() {
            columns.insert((*name).to_owned(), ids.json(*id));
        }
    }
    if op == "d" {
        if lsn.is_multiple_of(16) {
            columns.insert("created_at".to_owned(), json!("1970-01-01T00:00:00.000000Z"));
        }
        return columns;
    }
    columns.insert("created_at".to_owned(), time_json(row.created_ms, lsn));
    if source == Source::Posts {
        columns.insert("deleted_at".to_owned(), row.deleted_ms.map_or(Value::Null, |time| time_json(time, lsn)));
        columns.insert("body".to_owned(), json!("not for us"));
    }
    columns
}

/// Every way a time may be written.
fn time_json(time_ms: i64, lsn: u64) -> Value {
    match lsn / 8 % 4 {
        0 => json!(time_ms),
        1 => json!(time_ms * 1_000),
        2 => json!(time_ms * 1_000_000),
        _ => json!(iso(time_ms, 6)),
    }
}

/// RFC 3339 in UTC, with so many digits of a second.
pub(super) fn iso(time_ms: i64, digits: usize) -> String {
    let time = jiff::Timestamp::from_millisecond(time_ms).unwrap();
    format!("{time:.digits$}")
}
