//! Facts as the bytes that stand in Kafka: the real topic formats.

mod cdc;
mod columns;
mod event;

use edgefeed_storage::model::{Id, IdKind, TimestampMs, Topic};
use jiff::Timestamp;
use serde_json::Value;

use super::fact::{Fact, What};

/// How a world's facts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The kind of ids: UUIDs are JSON strings, 64-bit ids JSON numbers.
    pub ids: IdKind,
    /// The shape of CDC values.
    pub shape: Shape,
    /// How CDC columns of time are written.
    pub times: TimeStyle,
}

/// The shapes CDC values come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Debezium's envelope, `schemas.enable=false`.
    Envelope,
    /// Debezium's envelope as `payload` beside its `schema`, the key too.
    WithSchema,
    /// `ExtractNewRecordState`, deletes rewritten, with `add.fields=op,table,lsn,source.ts_ms`.
    Flattened,
    /// `{table, op, ts_ms, before, after}`: no log position, so versions come from `ts_ms`.
    Flat,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Envelope, Self::WithSchema, Self::Flattened, Self::Flat];
}

/// How a `timestamptz` or `timestamp` column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// `"2026-11-22T18:00:00.000000Z"`.
    Iso,
    /// Epoch milliseconds.
    Millis,
    /// Epoch microseconds.
    Micros,
    /// Epoch nanoseconds.
    Nanos,
}

impl TimeStyle {
    /// Every style.
    pub const ALL: [Self; 4] = [Self::Iso, Self::Millis, Self::Micros, Self::Nanos];

    fn value(self, at: TimestampMs) -> Value {
        match self {
            Self::Iso => Value::from(format!("{:.6}", timestamp(at))),
            Self::Millis => Value::from(at),
            Self::Micros => Value::from(at.saturating_mul(1_000)),
            Self::Nanos => Value::from(at.saturating_mul(1_000_000)),
        }
    }
}

/// A Kafka record that has no place in a log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The logical topic.
    pub topic: Topic,
    /// `user_id` for events, a JSON object of the primary key for CDC.
    pub key: Vec<u8>,
    /// JSON; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The record's time.
    pub time_ms: TimestampMs,
}

impl Encoding {
    /// Debezium's envelope without schema, times as ISO strings: what a deployment is most likely to have.
    pub const fn new(ids: IdKind) -> Self {
        Self { ids, shape: Shape::Envelope, times: TimeStyle::Iso }
    }

    /// The records of a fact: one, or a delete and its tombstone.
    pub fn encode(&self, fact: &Fact) -> Vec<Message> {
        let topic = fact.topic();
        let message = |key, value| Message { topic, key, value, time_ms: fact.time_ms };
        match &fact.what {
            What::Event(event) => {
                let key = self.ids.format(event.user).into_bytes();
                vec![message(key, Some(bytes(&event::value(self.ids, event))))]
            }
            What::Row(row) => {
                let key = bytes(&cdc::key(self, row));
                let change = message(key.clone(), Some(bytes(&cdc::value(self, row))));
                if row.op == super::fact::Op::Delete { vec![change, message(key, None)] } else { vec![change] }
            }
        }
    }
}

/// A JSON value never fails to become text; if it did, the record would be a dead letter.
fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// An id as JSON.
fn id_value(kind: IdKind, id: Id) -> Value {
    match kind {
        IdKind::Uuid => Value::from(kind.format(id)),
        IdKind::U64 => Value::from(id.0 as u64),
    }
}

/// The worlds' times are all representable; the fallback never shows.
fn timestamp(at: TimestampMs) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
