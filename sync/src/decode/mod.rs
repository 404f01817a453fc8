//! Bytes to meaning: one Kafka record in, one [`Outcome`] out. Pure, and total: no bytes make it fail otherwise
//! than as a dead letter with a reason.
//!
//! Client events are read by `event`, row changes in every shape Debezium writes them by `cdc`. JSON objects
//! with a known key twice are refused as malformed, because two readers could take different values from them.

mod aside;
mod cdc;
mod columns;
mod envelope;
mod event;
mod op;
mod refuse;
mod scalar;
mod schema;
mod time;

use std::cell::RefCell;

use edgefeed_storage::model::{
    Change, DeadReason, IdKind, Outcome, Raw, Record, Refusal, TimestampMs, Topic, TopicPartition,
};

pub use aside::Aside;
pub use event::{MAX_DWELL_MS, derived_event_id, posted_event};

use aside::Tray;
use refuse::refuse;

/// How far a time in a record may lie after the record's own time: 5 minutes, in milliseconds.
pub const MAX_AHEAD_MS: i64 = 5 * 60_000;
/// How far `event_time` may lie before the record's time: 90 days, in milliseconds.
pub const MAX_BEHIND_MS: i64 = 90 * edgefeed_storage::model::DAY_MS;

/// What of the configuration decides how a record is read.
#[derive(Clone, Copy, Debug)]
pub struct Decode {
    /// The kind of ids of this deployment (`node.ids`).
    pub ids: IdKind,
    /// The epoch that goes into row versions (`kafka.cdc_epoch`).
    pub cdc_epoch: u8,
    /// The largest value accepted, in bytes (`kafka.record_max_bytes`).
    pub record_max_bytes: usize,
}

/// Where a record stands in time, as far as its meaning depends on it.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    offset: i64,
    time_ms: TimestampMs,
    now_ms: TimestampMs,
}

impl Stamp {
    /// The latest time a record may claim for a version: 5 minutes past its own time and past this node's clock.
    fn latest(self) -> TimestampMs {
        self.time_ms.min(self.now_ms).saturating_add(MAX_AHEAD_MS)
    }
}

/// Reads one record of a topic.
///
/// `time_ms` is Kafka's record time, `now_ms` this node's clock; both are UTC milliseconds. A record without a
/// value (or with the JSON value `null`) asks for nothing.
pub fn decode(
    topic: Topic,
    offset: i64,
    time_ms: TimestampMs,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    settings: &Decode,
    now_ms: TimestampMs,
) -> Outcome {
    let stamp = Stamp { offset, time_ms, now_ms };
    outcome(change_of(topic, stamp, key, value, settings, None), key, value)
}

/// Reads one record as [`decode`] does, and beside it what only the center keeps.
pub fn decode_whole(
    topic: Topic,
    offset: i64,
    time_ms: TimestampMs,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    settings: &Decode,
    now_ms: TimestampMs,
) -> (Outcome, Aside) {
    let stamp = Stamp { offset, time_ms, now_ms };
    let tray = RefCell::new(Aside::default());
    let change = change_of(topic, stamp, key, value, settings, Some(&tray));
    (outcome(change, key, value), tray.into_inner())
}

fn outcome(change: Result<Change, Refusal>, key: Option<&[u8]>, value: Option<&[u8]>) -> Outcome {
    match change {
        Ok(change) => Outcome::Change(change),
        Err(refusal) => Outcome::Dead { refusal, key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) },
    }
}

/// Reads one record as [`decode`] does and makes it ready for the store.
pub fn record(
    at: TopicPartition,
    offset: i64,
    time: TimestampMs,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    settings: &Decode,
    now_ms: TimestampMs,
) -> Record {
    let outcome = decode(at.topic, offset, time, key, value, settings, now_ms);
    let raw = match &outcome {
        Outcome::Change(Change::Cdc(cdc)) if cdc.leaves_out() => {
            Some(Box::new(Raw { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) }))
        }
        _ => None,
    };
    Record { at, offset, time, outcome, raw }
}

fn change_of(
    topic: Topic,
    stamp: Stamp,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    settings: &Decode,
    tray: Tray<'_>,
) -> Result<Change, Refusal> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(Change::Nothing);
    };
    let limit = settings.record_max_bytes;
    if value.len() > limit {
        return refuse(DeadReason::TooLarge, || format!("{} bytes, the limit is {limit}", value.len()));
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return refuse(DeadReason::Malformed, || "not UTF-8".to_owned());
    };
    let text = text.trim_ascii();
    if text == "null" {
        return Ok(Change::Nothing);
    }
    // serde also reads a struct from a JSON array, by position; the contract is objects.
    if !text.starts_with('{') {
        return refuse(DeadReason::Malformed, || "not a JSON object".to_owned());
    }
    match topic {
        Topic::Events => event::event(text, settings.ids, stamp.time_ms, tray).map(Change::Event),
        _ => cdc::change(topic, stamp, key, text, settings, tray),
    }
}

#[cfg(test)]
mod tests;
