//! The numbers of this part, and what they mean.

use edgefeed_storage::SpoolState;
use edgefeed_storage::model::TimestampMs;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::check::Rejected;

/// Says what they mean; once, after the recorder is installed.
pub fn describe() {
    describe_counter!(
        "edgefeed_events_accepted_total",
        "Events answered 202, by where they are: kafka, spool or known."
    );
    describe_counter!("edgefeed_events_rejected_total", "Events posted and not taken, by code.");
    describe_gauge!("edgefeed_spool_depth", "Events accepted whose records have not come back from Kafka.");
    describe_gauge!("edgefeed_spool_bytes", Unit::Bytes, "Their size on disk, by estimate.");
    describe_gauge!("edgefeed_spool_oldest_seconds", Unit::Seconds, "How long the oldest of them has waited.");
    describe_counter!("edgefeed_spool_sent_total", "Spooled events that Kafka has acknowledged.");
    counter!("edgefeed_spool_sent_total").increment(0);
    for place in ["kafka", "spool", "known"] {
        accepted(place, 0);
    }
}

/// Events were accepted.
pub(super) fn accepted(place: &'static str, count: u64) {
    counter!("edgefeed_events_accepted_total", "place" => place).increment(count);
}

/// Events were not.
pub(super) fn rejected(rejected: &[Rejected]) {
    for rejected in rejected {
        counter!("edgefeed_events_rejected_total", "code" => rejected.code).increment(1);
    }
}

/// Kafka took spooled events.
pub(super) fn sent(count: u64) {
    counter!("edgefeed_spool_sent_total").increment(count);
}

/// How much is spooled.
pub(super) fn spool(state: &SpoolState, now_ms: TimestampMs) {
    gauge!("edgefeed_spool_depth").set(state.events as f64);
    gauge!("edgefeed_spool_bytes").set(state.bytes as f64);
    gauge!("edgefeed_spool_oldest_seconds").set(oldest_ms(state, now_ms) as f64 / 1e3);
}

/// How long the oldest event has waited, in milliseconds; 0 when none waits.
pub(super) fn oldest_ms(state: &SpoolState, now_ms: TimestampMs) -> i64 {
    state.oldest_at.map_or(0, |oldest| now_ms.saturating_sub(oldest).max(0))
}
