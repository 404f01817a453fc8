//! What decoding promises, shape by shape.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cdc;
mod cdc_versions;
mod events;
mod total;

use edgefeed_storage::model::{Change, DeadReason, Id, IdKind, Outcome, Refusal, Topic};

use super::{Decode, decode};

/// The record's time and, close behind it, the node's clock.
const RECORD_MS: i64 = 1_795_374_221_120;
const NOW_MS: i64 = RECORD_MS + 40;
const OFFSET: i64 = 77;

const U64: Decode = Decode { ids: IdKind::U64, cdc_epoch: 3, record_max_bytes: 1 << 20 };
const UUID: Decode = Decode { ids: IdKind::Uuid, ..U64 };

fn uuid(text: &str) -> Id {
    IdKind::Uuid.parse(text).unwrap()
}

fn read(topic: Topic, key: Option<&str>, value: &str, settings: &Decode) -> Result<Change, Refusal> {
    let outcome = decode(topic, OFFSET, RECORD_MS, key.map(str::as_bytes), Some(value.as_bytes()), settings, NOW_MS);
    match outcome {
        Outcome::Change(change) => Ok(change),
        Outcome::Dead { refusal, .. } => Err(refusal),
    }
}

fn reason(topic: Topic, value: &str, settings: &Decode) -> DeadReason {
    match read(topic, None, value, settings) {
        Err(refusal) => refusal.reason,
        Ok(change) => panic!("{value} was read as {change:?}"),
    }
}
