//! Keys and values of the CDC topics, in Debezium's shapes.

use serde_json::{Map, Value, json};

use super::super::fact::{Op, RowFact};
use super::{Encoding, Shape, columns};

/// The record key.
pub(super) fn key(encoding: &Encoding, fact: &RowFact) -> Value {
    let payload = columns::key(encoding, &fact.row);
    if encoding.shape != Shape::WithSchema {
        return Value::Object(payload);
    }
    let types = columns::types(encoding, &fact.row);
    let keys = types.into_iter().take(payload.len());
    let schema = structure(&format!("cdc.public.{}.Key", table(fact)), None, fields(keys, false));
    json!({ "schema": schema, "payload": payload })
}

/// The record value.
pub(super) fn value(encoding: &Encoding, fact: &RowFact) -> Value {
    match encoding.shape {
        Shape::Envelope => envelope(encoding, fact),
        Shape::WithSchema => {
            json!({ "schema": schema(encoding, fact), "payload": envelope(encoding, fact) })
        }
        Shape::Flattened => flattened(encoding, fact),
        Shape::Flat => json!({
            "table": table(fact),
            "op": fact.op.letter(),
            "ts_ms": fact.commit_ms,
            "before": before(encoding, fact),
            "after": after(encoding, fact),
        }),
    }
}

fn envelope(encoding: &Encoding, fact: &RowFact) -> Value {
    let processed_ms = fact.commit_ms + 5;
    json!({
        "before": before(encoding, fact),
        "after": after(encoding, fact),
        "source": source(fact),
        "transaction": null,
        "op": fact.op.letter(),
        "ts_ms": processed_ms,
        "ts_us": processed_ms * 1_000,
        "ts_ns": processed_ms * 1_000_000,
    })
}

fn source(fact: &RowFact) -> Value {
    json!({
        "version": "3.6.3.Final",
        "connector": "postgresql",
        "name": "cdc",
        "ts_ms": fact.commit_ms,
        "ts_us": fact.commit_ms * 1_000,
        "ts_ns": fact.commit_ms * 1_000_000,
        "snapshot": if fact.op == Op::Snapshot { "true" } else { "false" },
        "db": "app",
        "sequence": format!("[\"{}\",\"{}\"]", fact.lsn.saturating_sub(1), fact.lsn),
        "schema": "public",
        "table": table(fact),
        "txId": fact.lsn >> 6,
        "lsn": fact.lsn,
        "xmin": null,
    })
}

fn before(encoding: &Encoding, fact: &RowFact) -> Option<Map<String, Value>> {
    // Both ways of leaving out what is not known are seen in the wild.
    (fact.op == Op::Delete).then(|| columns::remains(encoding, &fact.row, fact.lsn.is_multiple_of(2)))
}

fn after(encoding: &Encoding, fact: &RowFact) -> Option<Map<String, Value>> {
    (fact.op != Op::Delete).then(|| columns::row(encoding, fact))
}

fn flattened(encoding: &Encoding, fact: &RowFact) -> Value {
    let deleted = fact.op == Op::Delete;
    let mut row = if deleted { columns::remains(encoding, &fact.row, false) } else { columns::row(encoding, fact) };
    let meta = [
        ("__deleted", Value::from(if deleted { "true" } else { "false" })),
        ("__op", Value::from(fact.op.letter())),
        ("__table", Value::from(table(fact))),
        ("__lsn", Value::from(fact.lsn)),
        ("__source_ts_ms", Value::from(fact.commit_ms)),
    ];
    row.extend(meta.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(row)
}

fn table(fact: &RowFact) -> &'static str {
    fact.row.topic().name()
}

/// The Connect schema of the envelope, as far as a reader could care.
fn schema(encoding: &Encoding, fact: &RowFact) -> Value {
    let value = format!("cdc.public.{}.Value", table(fact));
    let row =
        |field: &str| structure(&value, Some(field), fields(columns::types(encoding, &fact.row).into_iter(), true));
    let source = json!({ "type": "struct", "optional": false, "field": "source",
        "name": "io.debezium.connector.postgresql.Source", "fields": [
            { "type": "int64", "optional": false, "field": "ts_ms" },
            { "type": "string", "optional": false, "field": "table" },
            { "type": "int64", "optional": true, "field": "lsn" },
        ] });
    let rest = [
        json!({ "type": "string", "optional": false, "field": "op" }),
        json!({ "type": "int64", "optional": true, "field": "ts_ms" }),
    ];
    let parts = [row("before"), row("after"), source].into_iter().chain(rest).collect();
    structure(&format!("cdc.public.{}.Envelope", table(fact)), None, parts)
}

fn structure(name: &str, field: Option<&str>, fields: Vec<Value>) -> Value {
    let mut schema = json!({ "type": "struct", "optional": field.is_some(), "name": name, "fields": fields });
    if let (Some(field), Some(object)) = (field, schema.as_object_mut()) {
        object.insert("field".to_owned(), Value::from(field));
    }
    schema
}

fn fields(
    types: impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)>,
    optional: bool,
) -> Vec<Value> {
    types
        .map(|(field, kind, name)| match name {
            Some(name) => json!({ "type": kind, "optional": optional, "name": name, "version": 1, "field": field }),
            None => json!({ "type": kind, "optional": optional, "field": field }),
        })
        .collect()
}
