//! The calls a breaker looks at: the last few, and of those the recent ones.

use std::collections::VecDeque;
use std::time::Duration;

use super::core::Outcome;

/// The last calls with the time each ended. Bounded by the number of calls.
#[derive(Clone, Debug)]
pub(super) struct Window {
    calls: VecDeque<(Duration, Outcome)>,
    most: usize,
    reach: Duration,
    failed: usize,
    slow: usize,
}

impl Window {
    pub(super) fn new(most: usize, reach: Duration) -> Self {
        Self { calls: VecDeque::new(), most: most.max(1), reach, failed: 0, slow: 0 }
    }

    /// Adds a call that ended at `now`; times do not run backwards here.
    pub(super) fn push(&mut self, now: Duration, outcome: Outcome) {
        let now = self.calls.back().map_or(now, |(last, _)| now.max(*last));
        self.calls.push_back((now, outcome));
        self.count(outcome, true);
        if self.calls.len() > self.most {
            self.drop_oldest();
        }
        self.expire(now);
    }

    /// Lets go of calls that ended longer ago than the window reaches.
    pub(super) fn expire(&mut self, now: Duration) {
        while self.calls.front().is_some_and(|(ended, _)| now.saturating_sub(*ended) > self.reach) {
            self.drop_oldest();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most, self.reach);
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    pub(super) fn slow(&self) -> usize {
        self.slow
    }

    fn drop_oldest(&mut self) {
        if let Some((_, outcome)) = self.calls.pop_front() {
            self.count(outcome, false);
        }
    }

    fn count(&mut self, outcome: Outcome, enters: bool) {
        let counter = match outcome {
            Outcome::Success => return,
            Outcome::Slow => &mut self.slow,
            Outcome::Failure => &mut self.failed,
        };
        *counter = if enters { *counter + 1 } else { counter.saturating_sub(1) };
    }
}
