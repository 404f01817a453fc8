//! Events: once each, into counters, history, views and hides.

use super::{CLOCK_SLACK_MS, Pending, Writer};
use crate::counters::Partial;
use crate::dedup::Seen;
use crate::engine::Engine;
use crate::error::Result;
use crate::key;
use crate::model::{Action, Counters, Event, Hour, Record, TimestampMs, Topic, TopicPartition, day_of, hour_of};
use crate::retention::{POST_HOURS_KEPT, VIEWED_KEPT_MS};

impl Writer {
    /// `watermark` is the partition's record time, this record included.
    pub(super) fn fold_event(
        &mut self,
        engine: &Engine,
        record: &Record,
        event: &Event,
        watermark: TimestampMs,
        pending: &mut Pending,
    ) -> Result<()> {
        let seen = self.seen(engine, record, event, watermark, pending)?;
        // Counted now, or known already: either way the spool's copy has done its duty.
        if let Some((sequence, spooled)) = self.spool.find(event.user, event.event_id) {
            pending.unspool(sequence, spooled);
        }
        if seen == Seen::Here {
            pending.marks.push(key::record(record.at, record.offset));
        } else {
            // First of its id in this partition, counted or not: later ones are this partition's repeats.
            let partition = record.at.partition;
            let hour = hour_of(watermark);
            self.dedup.remember(partition, hour, event.event_id);
            pending.ids.entry(event.event_id).or_default().push((partition, hour));
            pending.dedup.push((key::dedup(partition, hour, event.event_id), record.offset));
        }
        if seen == Seen::No {
            pending.applied.dedup_misses += 1;
            *pending.applied.applied.entry(Topic::Events).or_default() += 1;
            count(record, event, pending);
        } else {
            pending.applied.dedup_hits += 1;
        }
        Ok(())
    }

    fn seen(
        &mut self,
        engine: &Engine,
        record: &Record,
        event: &Event,
        watermark: TimestampMs,
        pending: &Pending,
    ) -> Result<Seen> {
        let partition = record.at.partition;
        let watermark_of = |other: u32| {
            if other == partition {
                return Some(watermark);
            }
            let at = TopicPartition { topic: Topic::Events, partition: other };
            pending.position(at).or_else(|| self.positions.get(&at)).map(|position| position.watermark)
        };
        let horizon = self.dedup.horizon();
        let first_hour = |other: u32| watermark_of(other).map(|watermark| hour_of(watermark.saturating_sub(horizon)));
        self.dedup.load(engine, first_hour)?;
        // A batch read after an outage spans hours: what came early in it may be forgotten by its end.
        let remembered = |(other, hour): &&(u32, Hour)| first_hour(*other).is_some_and(|first| *hour >= first);
        let in_batch: Vec<u32> = pending
            .ids
            .get(&event.event_id)
            .into_iter()
            .flatten()
            .filter(remembered)
            .map(|(other, _)| *other)
            .collect();
        if in_batch.contains(&partition) {
            return Ok(Seen::Here);
        }
        let seen = self.dedup.seen(engine, partition, event.event_id, first_hour)?;
        Ok(if seen == Seen::No && !in_batch.is_empty() { Seen::Elsewhere } else { seen })
    }
}

/// The effects of an event that counts.
fn count(record: &Record, event: &Event, pending: &mut Pending) {
    let now_ms = pending.now_ms;
    let counters = Counters::of(event);
    let hour = hour_of(event.event_time);
    if counters != Counters::default() {
        // An hour that no window reaches any more would be written only to be dropped.
        if hour.saturating_add(POST_HOURS_KEPT) >= hour_of(now_ms) {
            pending.hours.entry((event.post, hour)).or_default().add(&counters);
        }
        if let Some(author) = event.author {
            let key = (event.user, author, day_of(record.time), day_of(event.event_time));
            pending.partials.entry(key).or_default().add(&Partial { counters, last_time: event.event_time });
            // Impressions and dwell time are kept but never summed into affinity.
            if event.action != Action::Impression {
                pending.touch(event.user);
            }
        }
    }
    match event.action {
        // A view dated ahead would mask the real ones, one past its window hides nothing.
        Action::View if (now_ms - VIEWED_KEPT_MS..=now_ms + CLOCK_SLACK_MS).contains(&event.event_time) => {
            let seen = pending.viewed.entry((event.user, event.post)).or_insert(event.event_time);
            *seen = event.event_time.max(*seen);
            pending.touch(event.user);
        }
        Action::Hide => {
            pending.hides.insert((event.user, event.post), event.event_time);
            pending.touch(event.user);
        }
        _ => {}
    }
}
