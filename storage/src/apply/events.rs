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
        let forgotten = self.forgotten_of(pending, [Some(event.user), event.author]);
        if seen == Seen::Here || forgotten.is_some() {
            pending.marks.push(key::record(record.at, record.offset));
        }
        if seen != Seen::Here {
            // First of its id in this partition, counted or not: later ones are this partition's repeats.
            let partition = record.at.partition;
            let hour = hour_of(watermark);
            self.dedup.remember(partition, hour, event.event_id);
            pending.ids.entry(event.event_id).or_default().push((partition, hour));
            pending.dedup.push((key::dedup(partition, hour, event.event_id), record.offset));
        }
        if seen != Seen::No {
            pending.applied.dedup_hits += 1;
            return Ok(());
        }
        pending.applied.dedup_misses += 1;
        let Some(forgotten_at) = forgotten else {
            *pending.applied.applied.entry(Topic::Events).or_default() += 1;
            count_post(event, pending);
            count_pair(record, event, pending);
            note_reader(event, pending);
            return Ok(());
        };
        *pending.applied.forgotten.entry(Topic::Events).or_default() += 1;
        if !self.is_forgotten(pending, event.user) {
            // The author left. That the reader saw the post, or wants it no more, names nobody else.
            note_reader(event, pending);
        } else if record.time < forgotten_at && event.author.is_none_or(|author| !self.is_forgotten(pending, author)) {
            // What somebody did before they left stays counted for others' posts, so that a replay counts as the first
            // reading did. Nobody can tell any more whose it was.
            count_post(event, pending);
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
        let known = self.positions.keys().filter(|at| at.topic == Topic::Events).map(|at| at.partition);
        self.dedup.load(engine, known, first_hour)?;
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

/// The effect of an event on its post.
fn count_post(event: &Event, pending: &mut Pending) {
    let (counters, hour) = (Counters::of(event), hour_of(event.event_time));
    // An hour that no window reaches any more would be written only to be dropped.
    if counters != Counters::default() && hour.saturating_add(POST_HOURS_KEPT) >= hour_of(pending.now_ms) {
        pending.hours.entry((event.post, hour)).or_default().add(&counters);
    }
}

/// The effect of an event on what is between its reader and its author.
fn count_pair(record: &Record, event: &Event, pending: &mut Pending) {
    let counters = Counters::of(event);
    if counters != Counters::default()
        && let Some(author) = event.author
    {
        let key = (event.user, author, day_of(record.time), day_of(event.event_time));
        pending.partials.entry(key).or_default().add(&Partial { counters, last_time: event.event_time });
        // Impressions and dwell time are kept but never summed into affinity.
        if event.action != Action::Impression {
            pending.touch(event.user);
        }
    }
}

/// The effect of an event on what its reader is shown.
fn note_reader(event: &Event, pending: &mut Pending) {
    let now_ms = pending.now_ms;
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
