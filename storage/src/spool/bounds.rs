//! Whether there is room: pure decisions. What was promised is never dropped, so it is new events that are refused, and
//! impressions before all others.

use super::SpoolState;
use crate::model::{Action, TimestampMs};

/// What an entry takes on disk beside its record: keys, index and the event as fields.
const ENTRY_BYTES: u64 = 192;

/// The bounds of the spool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpoolBounds {
    /// Events, at most.
    pub events: u64,
    /// Bytes, at most.
    pub bytes: u64,
    /// Once the oldest event has waited so long, no more are taken; in milliseconds.
    pub age_ms: i64,
    /// From this share of any of these on, no impressions are taken.
    pub impressions_share: f64,
}

impl SpoolBounds {
    /// Whether an event still fits on top of what is there.
    pub(crate) fn admits(&self, action: Action, value_bytes: usize, state: &SpoolState, now_ms: TimestampMs) -> bool {
        let most = if action == Action::Impression { self.impressions_share } else { 1.0 };
        let age_ms = state.oldest_at.map_or(0, |oldest| now_ms.saturating_sub(oldest).max(0));
        let bytes = state.bytes.saturating_add(entry_bytes(value_bytes));
        share(state.events + 1, self.events) <= most
            && share(bytes, self.bytes) <= most
            && share(age_ms.unsigned_abs(), self.age_ms.unsigned_abs()) < most
    }
}

/// What one entry takes on disk, by estimate.
pub(super) fn entry_bytes(value_bytes: usize) -> u64 {
    u64::try_from(value_bytes).unwrap_or(u64::MAX).saturating_add(ENTRY_BYTES)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: SpoolBounds = SpoolBounds { events: 10, bytes: 10_000, age_ms: 1_000, impressions_share: 0.8 };

    fn admits(action: Action, state: SpoolState) -> bool {
        BOUNDS.admits(action, 100, &state, 5_000)
    }

    #[test]
    fn impressions_are_refused_first_then_everything() {
        let events = |events| SpoolState { events, ..SpoolState::default() };
        assert!(admits(Action::Impression, events(7)) && admits(Action::View, events(7)));
        assert!(!admits(Action::Impression, events(8)) && admits(Action::View, events(8)));
        assert!(admits(Action::Hide, events(9)) && !admits(Action::Hide, events(10)));
        let bytes = |bytes| SpoolState { bytes, ..SpoolState::default() };
        assert!(!admits(Action::Impression, bytes(7_900)) && admits(Action::Like, bytes(7_900)));
        assert!(!admits(Action::Like, bytes(9_800)));
    }

    #[test]
    fn a_spool_that_waits_too_long_takes_no_more() {
        let oldest = |at| SpoolState { oldest_at: Some(at), ..SpoolState::default() };
        assert!(admits(Action::Impression, oldest(4_500)));
        assert!(!admits(Action::Impression, oldest(4_200)) && admits(Action::View, oldest(4_200)));
        assert!(!admits(Action::View, oldest(4_000)));
        assert!(admits(Action::Impression, oldest(9_000)), "a clock that was set back makes nothing old");
    }
}
