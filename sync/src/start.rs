//! Where to begin in a partition, and when not to: pure decisions from what the store holds and what Kafka has.

use edgefeed_storage::Position;
use edgefeed_storage::model::TimestampMs;
use serde::Serialize;

/// Why a partition cannot be followed without a hole or a mix-up. A resync of this node is the mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Kafka has dropped records this node has not read.
    BelowLogStart,
    /// The log ends before the stored offset: the topic was made anew, or lost its end.
    BeyondLogEnd,
    /// Another record stands where the last applied one stood: the topic was made anew.
    AnotherRecord,
    /// The topic no longer has the partition: it was made anew with fewer.
    PartitionMissing,
}

/// A partition that is not followed, with what the store holds and what Kafka has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The offset the store wants next.
    pub stored_offset: i64,
    /// The first offset Kafka has.
    pub log_start: i64,
    /// The offset after the last record Kafka has.
    pub log_end: i64,
}

/// The extent of a partition's log: the first offset kept and the one after the last readable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// The last applied record, by which a topic is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    offset: i64,
    time: TimestampMs,
}

/// What the first record read says about the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// It is the anchor: the topic is the one we know. It was applied before.
    Same,
    /// It stands in the anchor's place and is another record.
    Another,
    /// It comes after the anchor, which compaction may well have removed: this tells nothing.
    Later,
}

impl Anchor {
    /// The offset it stands at.
    pub(crate) fn offset(self) -> i64 {
        self.offset
    }

    /// Compares the first record read. A record without a time tells nothing.
    pub(crate) fn sight(self, offset: i64, time: Option<TimestampMs>) -> Sighting {
        if offset != self.offset {
            Sighting::Later
        } else if time.is_none_or(|time| time == self.time) {
            Sighting::Same
        } else {
            Sighting::Another
        }
    }
}

/// How to read on in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The offset to read from.
    pub(crate) from: i64,
    /// The first offset whose record is wanted.
    pub(crate) next: i64,
    /// What must stand at `from`, when known.
    pub(crate) anchor: Option<Anchor>,
}

/// Decides where to begin: at the last applied record, so as to recognise it; at the stored offset; or at the start of
/// the log for a partition the store does not know.
pub(crate) fn start(position: Option<&Position>, log: Extent) -> Result<Start, Gap> {
    let Some(position) = position else {
        return Ok(Start { from: log.start, next: log.start, anchor: None });
    };
    let next = position.next_offset;
    check(next, log)?;
    let last = position.last_offset;
    let anchored = (log.start.max(0)..next).contains(&last);
    let anchor = anchored.then_some(Anchor { offset: last, time: position.last_time });
    Ok(Start { from: if anchored { last } else { next }, next, anchor })
}

/// Whether the offset wanted next can be read without a hole.
pub(crate) fn check(next: i64, log: Extent) -> Result<(), Gap> {
    let gap = |reason| Gap { reason, stored_offset: next, log_start: log.start, log_end: log.end };
    if next < log.start {
        Err(gap(GapReason::BelowLogStart))
    } else if next > log.end {
        Err(gap(GapReason::BeyondLogEnd))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(next_offset: i64, last_offset: i64) -> Position {
        Position { next_offset, last_offset, last_time: 1_000, watermark: 1_000, marked_from: 0 }
    }

    fn log(start: i64, end: i64) -> Extent {
        Extent { start, end }
    }

    fn reason(position: &Position, log: Extent) -> Option<GapReason> {
        start(Some(position), log).err().map(|gap| gap.reason)
    }

    #[test]
    fn an_unknown_partition_is_read_from_its_log_start() {
        let begin = start(None, log(40, 90));
        assert_eq!(begin, Ok(Start { from: 40, next: 40, anchor: None }));
    }

    #[test]
    fn a_known_partition_is_read_from_its_last_record() {
        let anchor = Some(Anchor { offset: 49, time: 1_000 });
        assert_eq!(start(Some(&position(50, 49)), log(0, 90)), Ok(Start { from: 49, next: 50, anchor }));
        // Behind markers, the last record and the next offset are apart.
        let anchor = Some(Anchor { offset: 44, time: 1_000 });
        assert_eq!(start(Some(&position(50, 44)), log(0, 50)), Ok(Start { from: 44, next: 50, anchor }));
    }

    #[test]
    fn a_last_record_that_kafka_dropped_or_that_never_was_is_no_anchor() {
        let plain = Ok(Start { from: 50, next: 50, anchor: None });
        assert_eq!(start(Some(&position(50, 49)), log(50, 90)), plain);
        assert_eq!(start(Some(&position(50, -1)), log(0, 90)), plain);
    }

    #[test]
    fn offsets_outside_the_log_are_gaps_and_its_ends_are_not() {
        assert_eq!(reason(&position(50, 49), log(51, 90)), Some(GapReason::BelowLogStart));
        assert_eq!(reason(&position(50, 49), log(0, 49)), Some(GapReason::BeyondLogEnd));
        assert_eq!(reason(&position(50, 49), log(50, 50)), None);
        assert_eq!(reason(&position(0, -1), log(0, 0)), None);
    }

    #[test]
    fn only_another_record_in_the_same_place_is_a_stranger() {
        let anchor = Anchor { offset: 49, time: 1_000 };
        assert_eq!(anchor.sight(49, Some(1_000)), Sighting::Same);
        assert_eq!(anchor.sight(49, None), Sighting::Same);
        assert_eq!(anchor.sight(49, Some(1_001)), Sighting::Another);
        assert_eq!(anchor.sight(52, Some(1_001)), Sighting::Later);
    }
}
