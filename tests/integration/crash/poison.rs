//! Records that cannot be used, each with the reason it must be refused for.

use edgefeed::world::Message;
use edgefeed_storage::model::{DAY_MS, DeadReason, Topic};
use serde_json::{Value, json};

use super::dice::Dice;

/// `kafka.record_max_bytes` of the nodes that are given these.
pub(crate) const RECORD_MAX_BYTES: usize = 256 << 10;
/// An id of the other kind.
const OTHER_KIND: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const MINUTE_MS: i64 = 60_000;

type Poison = (DeadReason, Vec<u8>);

/// Some bad record of a topic, the `number`th, written at `time_ms`.
pub(crate) fn any(topic: Topic, number: usize, time_ms: i64, dice: &mut Dice) -> Poison {
    let good = match topic.table() {
        None => event(number, time_ms),
        Some(table) => envelope(table, row(topic, number), "c", time_ms),
    };
    let mut kinds = junk(&good, dice);
    kinds.extend(match topic.table() {
        None => bad_events(&good, time_ms),
        Some(table) => bad_changes(topic, table, number, time_ms),
    });
    kinds.swap_remove(dice.below(kinds.len()))
}

/// Bytes made to break a parser: nested deeper than any stack is high.
pub(crate) fn monsters(topic: Topic) -> Vec<Vec<u8>> {
    let field = if topic == Topic::Events { "user_id" } else { "after" };
    let deep = 50_000;
    vec![
        "[".repeat(deep).into_bytes(),
        format!("{{\"{field}\":{}", "[".repeat(deep)).into_bytes(),
        format!("{}1{}", "{\"a\":".repeat(deep / 2), "}".repeat(deep / 2 - 1)).into_bytes(),
    ]
}

/// A good record in every respect but its size.
pub(crate) fn too_large(topic: Topic) -> Vec<u8> {
    let mut good = match topic.table() {
        None => event(1, 0),
        Some(table) => envelope(table, row(topic, 1), "c", 0),
    };
    good["padding"] = Value::from("x".repeat(RECORD_MAX_BYTES));
    bytes(&good)
}

/// A good record, and the same with a field nobody asked for that is nested deeper than any stack is high.
pub(crate) fn odd(topic: Topic, time_ms: i64) -> (Message, Vec<u8>) {
    let number = 900_000;
    let good = match topic.table() {
        None => event(number, time_ms),
        Some(table) => envelope(table, row(topic, number), "c", time_ms),
    };
    let plain = bytes(&good);
    let mut value = plain.clone();
    value.pop();
    let deep = 50_000;
    value.extend(format!(",\"more\":{}{}}}", "[".repeat(deep), "]".repeat(deep)).into_bytes());
    let key = bytes(&row(topic, number));
    (Message { topic, key, value: Some(plain), time_ms }, value)
}

/// What is no record of any topic.
fn junk(good: &Value, dice: &mut Dice) -> Vec<Poison> {
    let text = bytes(good);
    let cut = text[..dice.between(1, text.len() - 1)].to_vec();
    let mut not_utf8 = text.clone();
    // Behind a quotation mark, so that it stands within a string.
    let quote = not_utf8.iter().position(|byte| *byte == b'"').unwrap();
    not_utf8[quote + 1] = 0xff;
    let all = [
        cut,
        not_utf8,
        b"not json at all".to_vec(),
        vec![0, 159, 146, 150],
        b"[]".to_vec(),
        [b"[", &text[..], b"]"].concat(),
        b"42".to_vec(),
        b"\"text\"".to_vec(),
        b"true".to_vec(),
        [&text[..], b"}"].concat(),
        [&text[..], &text[..]].concat(),
        "[".repeat(500).into_bytes(),
        format!("{{\"a\":{}{}}}", "1".repeat(400), "e".repeat(3)).into_bytes(),
    ];
    all.map(|value| (DeadReason::Malformed, value)).into()
}

fn bad_events(good: &Value, time_ms: i64) -> Vec<Poison> {
    use DeadReason::{BadId, BadValue, MissingField, TimeOutOfRange};
    let with = |name: &str, value: Value| bytes(&merged(good, name, Some(value)));
    let without = |name: &str| bytes(&merged(good, name, None));
    let mut all = vec![(MissingField, b"{}".to_vec())];
    for name in ["user_id", "post_id", "action", "event_time"] {
        all.push((MissingField, without(name)));
        all.push((MissingField, with(name, Value::Null)));
    }
    for name in ["user_id", "post_id", "author_id"] {
        for id in bad_ids() {
            all.push((BadId, with(name, id)));
        }
    }
    for (name, value) in [
        ("action", json!("dance")),
        ("action", json!("")),
        ("action", json!(5)),
        ("action", json!(["view"])),
        ("event_time", json!("yesterday")),
        ("event_time", json!(true)),
        ("event_time", json!({})),
        ("event_time", json!(1.5)),
        ("event_time", json!(1e30)),
        ("event_time", json!(u64::MAX)),
        ("dwell_ms", json!(-1)),
        ("dwell_ms", json!("long")),
        ("dwell_ms", json!(1e20)),
        ("dwell_ms", json!([1])),
        ("event_id", json!("x")),
        ("event_id", json!(12)),
        ("event_id", json!({})),
    ] {
        all.push((BadValue, with(name, value)));
    }
    for time in [
        time_ms - 90 * DAY_MS - 1,
        time_ms + 5 * MINUTE_MS + 1,
        time_ms + 365 * DAY_MS,
        0,
        -1,
        i64::MIN,
        i64::MAX,
        // Seconds, and microseconds.
        time_ms / 1_000,
        time_ms * 1_000,
    ] {
        all.push((TimeOutOfRange, with("event_time", json!(time))));
    }
    all.push((TimeOutOfRange, with("event_time", json!("2099-01-01T00:00:00Z"))));
    all
}

fn bad_changes(topic: Topic, table: &str, number: usize, time_ms: i64) -> Vec<Poison> {
    use DeadReason::{BadId, BadValue, MissingField, TableMismatch, TimeOutOfRange, UnknownOp};
    let row = row(topic, number);
    let good = |row: Value| envelope(table, row, "c", time_ms);
    let with = |name: &str, value: Value| bytes(&merged(&good(row.clone()), name, Some(value)));
    let mut all = vec![
        (MissingField, bytes(&merged(&good(row.clone()), "op", None))),
        (MissingField, with("after", Value::Null)),
        (MissingField, with("after", json!({}))),
        (MissingField, bytes(&envelope(table, Value::Null, "d", time_ms))),
        (BadValue, with("after", json!(5))),
        (BadValue, with("after", json!([row.clone()]))),
    ];
    for op in [json!("x"), json!(""), json!(7), json!({})] {
        all.push((UnknownOp, with("op", op)));
    }
    let foreign = json!({ "table": "invoices", "lsn": lsn(time_ms), "ts_ms": time_ms });
    all.push((TableMismatch, with("source", foreign.clone())));
    all.push((
        TableMismatch,
        bytes(&json!({ "schema": {}, "payload": merged(&good(row.clone()), "source", Some(foreign)) })),
    ));
    // Without a log position the time is the version, and one ahead would freeze the row.
    let ahead = json!({ "table": table, "ts_ms": edgefeed::clock::now_ms() + 10 * DAY_MS });
    all.push((TimeOutOfRange, with("source", ahead)));
    let key = key_columns(topic);
    for column in key {
        all.push((MissingField, bytes(&good(merged(&row, column, None)))));
        for id in bad_ids() {
            all.push((BadId, bytes(&good(merged(&row, column, Some(id))))));
        }
    }
    all.extend(bad_columns(topic, &row).into_iter().map(|(reason, row)| (reason, bytes(&good(row)))));
    all
}

/// What only rows with more than a key can get wrong.
fn bad_columns(topic: Topic, row: &Value) -> Vec<(DeadReason, Value)> {
    use DeadReason::{BadId, BadValue, MissingField, UnavailableValue};
    let unchanged = json!("__debezium_unavailable_value");
    let with = |name: &str, value: Value| merged(row, name, Some(value));
    match topic {
        Topic::Posts => vec![
            (BadValue, with("created_at", json!("yesterday"))),
            (BadValue, with("created_at", json!(true))),
            (BadValue, with("created_at", json!("2026-13-45T99:00:00Z"))),
            (MissingField, merged(row, "created_at", None)),
            (MissingField, with("user_id", Value::Null)),
            (BadId, with("user_id", json!(OTHER_KIND))),
            (UnavailableValue, with("user_id", unchanged.clone())),
            (UnavailableValue, with("created_at", unchanged)),
        ],
        Topic::Comments => vec![
            (MissingField, merged(row, "post_id", None)),
            (BadId, with("post_id", json!(OTHER_KIND))),
            (UnavailableValue, with("post_id", unchanged)),
        ],
        _ => Vec::new(),
    }
}

/// What is no 64-bit id.
fn bad_ids() -> Vec<Value> {
    vec![
        json!(OTHER_KIND),
        json!("abc"),
        json!(""),
        json!(-5),
        json!(1.5),
        json!(18_446_744_073_709_551_616.0),
        json!("1e3"),
    ]
}

fn event(number: usize, time_ms: i64) -> Value {
    json!({
        "event_id": format!("00000000-0000-4000-9000-{number:012x}"),
        "event_time": time_ms, "user_id": number, "post_id": 77, "author_id": 78, "action": "view", "dwell_ms": 9,
    })
}

fn envelope(table: &str, row: Value, op: &str, time_ms: i64) -> Value {
    let (before, after) = if op == "d" { (row, Value::Null) } else { (Value::Null, row) };
    let source = json!({ "table": table, "lsn": lsn(time_ms), "ts_ms": time_ms });
    json!({ "before": before, "after": after, "source": source, "op": op, "ts_ms": time_ms })
}

/// About where the worlds' log stands at that time.
fn lsn(time_ms: i64) -> i64 {
    time_ms << 4
}

/// A row that no world has: its ids are small numbers.
fn row(topic: Topic, number: usize) -> Value {
    let at = "2026-01-01T00:00:00Z";
    match topic {
        Topic::Posts => json!({ "id": number, "user_id": 5, "created_at": at }),
        Topic::Comments => json!({ "id": number, "post_id": 77, "user_id": 5, "created_at": at }),
        Topic::Follows => json!({ "follower_id": number, "following_id": 5, "created_at": at }),
        Topic::Likes => json!({ "user_id": number, "post_id": 77, "created_at": at }),
        Topic::Blocks => json!({ "blocker_id": number, "blocked_id": 5, "created_at": at }),
        Topic::Users | Topic::Events => json!({ "id": number }),
    }
}

fn key_columns(topic: Topic) -> &'static [&'static str] {
    match topic {
        Topic::Follows => &["follower_id", "following_id"],
        Topic::Likes => &["user_id", "post_id"],
        Topic::Blocks => &["blocker_id", "blocked_id"],
        _ => &["id"],
    }
}

/// An object with one field set, or left out.
fn merged(object: &Value, name: &str, value: Option<Value>) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    }
    object
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
