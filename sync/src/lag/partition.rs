//! What is known of one partition: how far it was applied, how far its log goes, since when that is so.

use edgefeed_storage::Position;
use edgefeed_storage::model::TimestampMs;

use crate::start::{Extent, Gap};

/// Whether a partition is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// Known from the store; Kafka has not been asked yet.
    Waiting,
    Yes,
    /// Not without a hole.
    Gap(Gap),
}

/// The state of one partition. Everything moves forward only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition {
    pub(super) following: Following,
    /// The offset after everything applied.
    pub(super) next: i64,
    /// The log as last heard, and when that was asked.
    pub(super) log: Option<(Extent, TimestampMs)>,
    /// How often that was.
    pub(super) hearings: u64,
    /// The end of the log when it was first heard: reaching it is the first catch-up.
    goal: Option<i64>,
    /// Everything written to the partition until then has been applied.
    pub(super) fresh_through: Option<TimestampMs>,
}

impl Partition {
    /// A partition as the store left it. An idle one has no record since `noted`, and is as fresh all the same.
    pub(super) fn stored(position: &Position, noted: Option<TimestampMs>) -> Self {
        let read_to = (position.last_offset >= 0).then_some(position.last_time);
        Self {
            following: Following::Waiting,
            next: position.next_offset,
            log: None,
            hearings: 0,
            goal: None,
            fresh_through: read_to.max(noted),
        }
    }

    /// A partition first met in Kafka, read from `next` on.
    pub(super) fn new(next: i64) -> Self {
        Self { following: Following::Waiting, next, log: None, hearings: 0, goal: None, fresh_through: None }
    }

    /// Kafka was asked at `as_of` and has this log.
    pub(super) fn heard(&mut self, log: Extent, as_of: TimestampMs) {
        self.goal.get_or_insert(log.end);
        self.log = Some((log, as_of));
        self.hearings = self.hearings.saturating_add(1);
        self.refresh();
    }

    /// Records below `next` are applied, the last of them written at `time`. Clocks ahead of ours are cut back.
    pub(super) fn applied(&mut self, next: i64, time: TimestampMs, now_ms: TimestampMs) {
        if next > self.next {
            self.next = next;
            self.fresh_through = self.fresh_through.max(Some(time.min(now_ms)));
        }
        self.refresh();
    }

    /// The log holds nothing below `next`.
    pub(super) fn passed(&mut self, next: i64) {
        self.next = self.next.max(next);
        self.refresh();
    }

    fn refresh(&mut self) {
        if let Some((log, as_of)) = self.log
            && self.next >= log.end
        {
            self.fresh_through = self.fresh_through.max(Some(as_of));
        }
    }

    /// Whether everything there was at the first contact has been applied.
    pub(super) fn caught_up(&self) -> bool {
        self.goal.is_some_and(|goal| self.next >= goal)
    }

    pub(super) fn is_gap(&self) -> bool {
        matches!(self.following, Following::Gap(_))
    }

    /// Offsets between what was applied and the end of the log; an upper bound of records, as logs have holes.
    pub(super) fn lag_records(&self) -> Option<i64> {
        self.log.map(|(log, _)| (log.end - self.next).max(0))
    }

    /// How old the newest applied state is, in milliseconds; nothing while it is unknown.
    pub(super) fn lag_ms(&self, now_ms: TimestampMs) -> Option<i64> {
        self.fresh_through.map(|through| (now_ms - through).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(partition: &mut Partition, end: i64, as_of: i64) {
        partition.heard(Extent { start: 0, end }, as_of);
    }

    #[test]
    fn a_partition_read_to_its_end_is_fresh_as_of_the_last_contact() {
        let mut partition = Partition::new(0);
        heard(&mut partition, 0, 5_000);
        assert_eq!(partition.fresh_through, Some(5_000));
        heard(&mut partition, 2, 6_000);
        assert_eq!((partition.fresh_through, partition.lag_records()), (Some(5_000), Some(2)));
        partition.applied(1, 5_400, 6_100);
        assert_eq!(partition.fresh_through, Some(5_400), "as fresh as the last record while more is waiting");
        partition.applied(2, 5_500, 6_200);
        assert_eq!((partition.fresh_through, partition.lag_records()), (Some(6_000), Some(0)));
    }

    #[test]
    fn a_record_dated_ahead_makes_nothing_fresher_than_now() {
        let mut partition = Partition::new(0);
        partition.applied(1, 99_000, 7_000);
        assert_eq!(partition.fresh_through, Some(7_000));
    }

    #[test]
    fn what_was_fresh_never_turns_older() {
        let mut partition = Partition::new(0);
        heard(&mut partition, 0, 5_000);
        partition.applied(1, 3_000, 6_000);
        assert_eq!(partition.fresh_through, Some(5_000));
        partition.applied(1, 5_900, 6_000);
        assert_eq!(partition.fresh_through, Some(5_000), "a replay tells nothing new");
    }

    #[test]
    fn the_first_catch_up_is_the_end_met_at_first_contact() {
        let mut partition = Partition::new(0);
        assert!(!partition.caught_up());
        heard(&mut partition, 3, 5_000);
        heard(&mut partition, 9, 6_000);
        partition.applied(2, 1, 6_000);
        assert!(!partition.caught_up());
        partition.passed(3);
        assert!(partition.caught_up());
    }
}
