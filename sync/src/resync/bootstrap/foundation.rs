//! What the cut of the log says of a store that is built up to it.

use std::collections::BTreeMap;

use edgefeed_storage::model::{TimestampMs, Topic};
use edgefeed_storage::{Base, Begin, Foundation, Position};

use super::super::error::{Error, Result};
use super::super::note::Note;
use super::super::places::Place;
use crate::center::Cut;

/// How far a record's clock may run ahead of this node's.
const CLOCK_SLACK_MS: i64 = 5 * 60_000;

/// The partition's own record time at the cut.
pub(super) fn watermark(place: &Place, note: &Note) -> TimestampMs {
    let known = note.record_times.get(&place.at.partition).filter(|_| place.at.topic == Topic::Events);
    let last = place.last.map(|(_, time)| time);
    known.copied().max(last).unwrap_or(0).clamp(0, note.now_ms.saturating_add(CLOCK_SLACK_MS))
}

/// As if every record below the cut had been applied.
pub(super) fn foundation(note: &Note) -> Foundation {
    let position = |place: &Place| {
        let watermark = watermark(place, note);
        let (last_offset, last_time) = place.last.unwrap_or((-1, watermark));
        let next = place.offset;
        (place.at, Position { next_offset: next, last_offset, last_time, watermark, marked_from: next })
    };
    Foundation {
        positions: note.places.iter().map(position).collect(),
        begins: begins(&note.places),
        base: Some(Base { as_of_ms: note.now_ms, rows: 0, own_from: None }),
    }
}

fn begins(places: &[Place]) -> BTreeMap<u32, Begin> {
    let events = places.iter().filter(|place| place.at.topic == Topic::Events);
    events.map(|place| (place.at.partition, Begin { offset: place.offset, time: Some(place.begin_ms) })).collect()
}

pub(super) fn cut_of(places: &[Place], now_ms: TimestampMs) -> Result<Cut> {
    Cut::of(&begins(places), now_ms).ok_or_else(|| {
        Error::Refused(
            "the sink's group has committed nothing of events, so nothing is at the center to build from; start the node, \
             it reads Kafka from the beginning"
                .to_owned(),
        )
    })
}
