//! When a failed insert is tried again, and when that is said aloud. Pure but for the dice of the jitter.

use std::time::{Duration, Instant};

use crate::center::Class;

/// The first wait and the longest.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// How often a systemic fault is looked at again: somebody has to mend something first.
const SYSTEMIC: Duration = Duration::from_secs(3);
/// For how long an error nobody knows is taken for a passing one.
const UNKNOWN_FOR: Duration = Duration::from_secs(600);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The same again after this long.
    Again(Duration),
    /// Say that it does not go on by itself; then the same again.
    Stall { reason: &'static str, wait: Duration },
}

/// The failures of one range so far.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    first: Option<Instant>,
}

impl Retry {
    /// How long to wait this time: doubling up to a limit, with full jitter so that nodes do not come in step.
    pub(crate) fn wait(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let dice = uuid::Uuid::new_v4().as_u128() % 1_000;
        FIRST / 2 + most.mul_f64(f64::from(u32::try_from(dice).unwrap_or(0)) / 1_000.0)
    }

    /// What to do after a failure of this class at `now`.
    pub(crate) fn after(&mut self, class: Class, now: Instant) -> Step {
        let first = *self.first.get_or_insert(now);
        match class {
            Class::Transient => Step::Again(self.wait()),
            Class::Systemic(reason) => Step::Stall { reason, wait: SYSTEMIC },
            // The rows are made from typed values: when the center cannot read them, its tables are not ours.
            Class::Poison => Step::Stall { reason: "schema", wait: SYSTEMIC },
            Class::Unknown if now.duration_since(first) < UNKNOWN_FOR => Step::Again(self.wait()),
            Class::Unknown => Step::Stall { reason: "unknown", wait: SYSTEMIC },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_never_vanish() {
        let mut retry = Retry::default();
        let waits: Vec<_> = (0..50).map(|_| retry.wait()).collect();
        assert!(waits.iter().all(|wait| (FIRST / 2..=LONGEST + FIRST).contains(wait)), "{waits:?}");
        assert!(waits[0] <= FIRST + FIRST / 2);
    }

    #[test]
    fn passing_trouble_is_never_a_stall_and_an_unknown_one_becomes_one() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        assert!(matches!(retry.after(Class::Transient, now), Step::Again(_)));
        let later = now + UNKNOWN_FOR;
        assert!(matches!(retry.after(Class::Transient, later), Step::Again(_)));
        assert!(matches!(Retry::default().after(Class::Unknown, now), Step::Again(_)));
        assert!(matches!(retry.after(Class::Unknown, later), Step::Stall { reason: "unknown", .. }));
    }

    #[test]
    fn what_somebody_must_mend_is_said_at_once() {
        let step = Retry::default().after(Class::Systemic("auth"), Instant::now());
        assert!(matches!(step, Step::Stall { reason: "auth", .. }));
    }
}
