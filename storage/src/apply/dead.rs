//! Dead letters: kept whole, counted by reason, bounded in number.

use super::{Pending, Writer};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family};
use crate::model::{Record, Refusal};
use crate::value::DeadLetter;

impl Writer {
    pub(super) fn bury(
        &mut self,
        engine: &Engine,
        record: &Record,
        refusal: &Refusal,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        pending: &mut Pending,
    ) -> Result<()> {
        let letter = DeadLetter {
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            time: record.time,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
        };
        *pending.applied.dead.entry((record.at.topic, refusal.reason)).or_default() += 1;
        pending.dead.push((key::record(record.at, record.offset), letter));
        self.dead_letters += 1;
        if self.dead_letters > self.dead_letters_max {
            self.drop_oldest(engine, record, pending)?;
        }
        Ok(())
    }

    /// Makes room: the oldest of the same partition goes, or the first of all where that partition has no other.
    fn drop_oldest(&mut self, engine: &Engine, record: &Record, pending: &mut Pending) -> Result<()> {
        let mut oldest = None;
        let dropped = &pending.dead_dropped;
        let mut find = |key: &[u8], _: &[u8]| {
            if dropped.last().is_some_and(|last| last.as_slice() >= key) {
                return Ok(true);
            }
            oldest = Some(key.to_vec());
            Ok(false)
        };
        engine.scan(Family::DeadLetters, &key::partition(record.at), &mut find)?;
        if oldest.is_none() {
            oldest = pending.dead.first().map(|(key, _)| key.as_ref().to_vec());
        }
        if let Some(key) = oldest {
            pending.dead_dropped.push(key);
            self.dead_letters -= 1;
        }
        Ok(())
    }
}
