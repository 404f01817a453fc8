//! A partition of the log as rows the center should hold, a stretch of offsets at a time.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use edgefeed_storage::model::{Id, TimestampMs, TopicPartition};
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc;

use super::expect::{Expected, Row, expected};
use super::{Audit, Result};
use crate::center::audit::LogPlace;
use crate::center::row::Origin;
use crate::dead_letters::reader::Reader;
use crate::decode::decode_whole;
use crate::start::Extent;

/// Rows of a stretch: what is in memory of the log at a time is two of these.
const STRETCH_ROWS: usize = 50_000;

/// A stretch of a partition.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Its offsets.
    pub(super) offsets: Range<i64>,
    /// The rows the center should hold of it, unless a newer one of the same name is there.
    pub(super) rows: BTreeMap<i64, Row>,
    /// Versions of truncates in it.
    pub(super) truncates: Vec<u64>,
}

impl Stretch {
    fn from(offset: i64) -> Self {
        Self { offsets: offset..offset, rows: BTreeMap::new(), truncates: Vec::new() }
    }
}

impl Audit {
    /// Reads the log from `log.start` to before `log.end` and hands it on stretch by stretch, ascending and without gaps.
    /// Blocks.
    pub(super) fn read_log(
        &self,
        at: TopicPartition,
        place: &LogPlace,
        log: Extent,
        now_ms: TimestampMs,
        hand: &mpsc::Sender<Stretch>,
    ) -> Result<()> {
        let reader = Reader::connect(&self.kafka, &place.topic)?;
        let mut stretch = Stretch::from(log.start);
        let partition = i32::try_from(at.partition).unwrap_or(i32::MAX);
        let mut gone = false;
        let mut forgotten = HashSet::new();
        self.store.each_forgotten(|user, _| {
            forgotten.insert(user);
        })?;
        reader.read(partition, log, |message| {
            let offset = message.offset();
            match self.expected_of(at, place, message, &forgotten, now_ms) {
                Expected::Nothing => {}
                Expected::Truncate(version) => stretch.truncates.push(version),
                Expected::Row(row) => drop(stretch.rows.insert(offset, row)),
            }
            if stretch.rows.len() >= STRETCH_ROWS {
                stretch.offsets.end = offset.saturating_add(1);
                let full = std::mem::replace(&mut stretch, Stretch::from(offset.saturating_add(1)));
                gone = hand.blocking_send(full).is_err();
            }
            Ok(!gone)
        })?;
        stretch.offsets.end = log.end;
        if !gone && !stretch.offsets.is_empty() {
            // Nobody listens any more: the comparison failed, and says so itself.
            drop(hand.blocking_send(stretch));
        }
        Ok(())
    }

    fn expected_of(
        &self,
        at: TopicPartition,
        place: &LogPlace,
        message: &BorrowedMessage<'_>,
        forgotten: &HashSet<Id>,
        now_ms: TimestampMs,
    ) -> Expected {
        let (offset, ts) = (message.offset(), message.timestamp().to_millis().unwrap_or(0));
        let settings = self.kafka.decode(self.ids());
        let (outcome, aside) = decode_whole(at.topic, offset, ts, message.key(), message.payload(), &settings, now_ms);
        let origin = Origin {
            cluster: &place.cluster,
            epoch: place.epoch,
            topic: &place.topic,
            partition: place.partition,
            offset: u64::try_from(offset).unwrap_or(0),
            ts,
        };
        expected(self.ids(), &origin, &outcome, &aside, forgotten)
    }
}
