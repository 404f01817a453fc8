//! Where the sink goes on when an operator says so: a pure decision.

use super::commit::{Commit, Mark};
use super::status::From;
use crate::center::Latest;
use crate::start::Extent;

/// The commit that makes the sink go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The offset to commit.
    pub offset: i64,
    /// The commit's metadata.
    pub mark: Mark,
}

/// Where to go on in one partition, from what the group has committed, what the center holds and what Kafka has.
///
/// From the center: its last range is sent again under its own token, so that it is there whole and once; then comes
/// what the center never had. Anything else reads the log anew under an epoch nobody used before.
///
/// Errors, in words and with the mend: what is asked for is not in the log.
pub(crate) fn plan(from: From, committed: Option<Commit>, latest: Option<Latest>, log: Extent) -> Result<Plan, String> {
    let offset = match (from, latest) {
        (From::Center, Some(latest)) => return after(latest, log),
        (From::Center | From::Earliest, _) => log.start,
        (From::Offset(offset), _) if (log.start..=log.end).contains(&offset) => offset,
        (From::Offset(offset), _) => {
            return Err(format!("{offset} is not within the log, {} to {}; name an offset of it", log.start, log.end));
        }
    };
    let used = committed.and_then(|commit| commit.mark).map(|mark| mark.epoch);
    let used = used.max(latest.map(|latest| latest.epoch));
    let epoch = used.map_or(0, |epoch| epoch.saturating_add(1));
    Ok(Plan { offset, mark: Mark { pending_through: None, epoch } })
}

/// Goes on behind what the center holds.
fn after(latest: Latest, log: Extent) -> Result<Plan, String> {
    let max_offset = signed(latest.max_offset);
    let (first, pending_through) = match range(&latest) {
        Some((first, last)) => (first, Some(last)),
        None => (max_offset.saturating_add(1), None),
    };
    let last = pending_through.unwrap_or(max_offset);
    if last >= log.end {
        return Err(format!(
            "the center holds records up to {last}, and Kafka's log ends before {}: the topic was made anew; resume \
             with --from earliest --accept-reset",
            log.end
        ));
    }
    if first < log.start {
        return Err(format!(
            "the center is to go on at {first}, and Kafka's log begins at {}: what lies between is lost to it; resume \
             with --from earliest --accept-reset, or with --from {} --accept-reset when its last range is whole",
            log.start,
            log.start.max(last.saturating_add(1))
        ));
    }
    Ok(Plan { offset: first, mark: Mark { pending_through, epoch: latest.epoch } })
}

/// The range whose token may be used again. Rows that a repair brought bear none; a range of the record 0 alone looks
/// the same and needs none, as one row is never half there.
fn range(latest: &Latest) -> Option<(i64, i64)> {
    let known = latest.range_last > 0 && (latest.range_first..=latest.range_last).contains(&latest.max_offset);
    known.then(|| (signed(latest.range_first), signed(latest.range_last)))
}

/// Offsets are numbers from 0 on, which the center keeps without a sign.
fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: Extent = Extent { start: 100, end: 1_000 };

    fn latest(epoch: u32, range_first: u64, max_offset: u64, range_last: u64) -> Option<Latest> {
        Some(Latest { epoch, max_offset, range_first, range_last })
    }

    fn commit(offset: i64, epoch: u32) -> Option<Commit> {
        Some(Commit { offset, mark: Some(Mark { pending_through: None, epoch }) })
    }

    fn planned(offset: i64, pending_through: Option<i64>, epoch: u32) -> Result<Plan, String> {
        Ok(Plan { offset, mark: Mark { pending_through, epoch } })
    }

    #[test]
    fn from_the_center_its_last_range_is_sent_again_under_its_own_token() {
        // The range's last offsets need not be rows.
        assert_eq!(plan(From::Center, None, latest(3, 400, 480, 499), LOG), planned(400, Some(499), 3));
        // What the group says is not asked: that is what the operator does not trust.
        assert_eq!(plan(From::Center, commit(900, 7), latest(3, 400, 480, 499), LOG), planned(400, Some(499), 3));
    }

    #[test]
    fn from_the_center_without_a_known_range_the_next_record_comes_first() {
        assert_eq!(plan(From::Center, None, latest(3, 0, 480, 0), LOG), planned(481, None, 3));
        let log = Extent { start: 0, end: 9 };
        assert_eq!(plan(From::Center, None, latest(0, 0, 0, 0), log), planned(1, None, 0));
    }

    #[test]
    fn a_center_without_rows_takes_everything() {
        assert_eq!(plan(From::Center, None, None, LOG), planned(100, None, 0));
        // Its tables may have been emptied: tokens of the old epoch may still be remembered.
        assert_eq!(plan(From::Center, commit(900, 2), None, LOG), planned(100, None, 3));
    }

    #[test]
    fn the_log_is_read_anew_under_an_epoch_nobody_used() {
        assert_eq!(plan(From::Earliest, None, None, LOG), planned(100, None, 0));
        assert_eq!(plan(From::Earliest, commit(900, 2), latest(4, 400, 480, 499), LOG), planned(100, None, 5));
        assert_eq!(plan(From::Offset(640), commit(900, 6), latest(4, 400, 480, 499), LOG), planned(640, None, 7));
        assert_eq!(plan(From::Offset(1_000), None, None, LOG), planned(1_000, None, 0));
        let foreign = Some(Commit { offset: 5, mark: None });
        assert_eq!(plan(From::Earliest, foreign, latest(4, 400, 480, 499), LOG), planned(100, None, 5));
    }

    #[test]
    fn what_is_not_in_the_log_is_refused_with_the_mend() {
        for from in [From::Offset(99), From::Offset(1_001)] {
            let error = plan(from, None, None, LOG).unwrap_err();
            assert!(error.contains("not within the log, 100 to 1000"), "{error}");
        }
        for center in [latest(0, 950, 960, 1_000), latest(0, 0, 1_000, 0)] {
            let error = plan(From::Center, None, center, LOG).unwrap_err();
            assert!(error.contains("made anew") && error.contains("--from earliest --accept-reset"), "{error}");
        }
        let error = plan(From::Center, None, latest(0, 80, 150, 160), LOG).unwrap_err();
        assert!(error.contains("begins at 100") && error.contains("--from 161 --accept-reset"), "{error}");
        let error = plan(From::Center, None, latest(0, 0, 50, 0), LOG).unwrap_err();
        assert!(error.contains("--from 100 --accept-reset"), "{error}");
    }

    proptest! {
        #[test]
        fn from_the_center_nothing_is_left_out_and_nothing_comes_under_another_token(
            first in 0..1_200_u64, more in 0..100_u64, beyond in 0..100_u64, known: bool, epoch: u32,
            start in 0..500_i64, length in 0..800_i64,
        ) {
            let (max_offset, range_last) = (first + more, first + more + beyond);
            let range = if known { (first, range_last) } else { (0, 0) };
            let center = Latest { epoch, max_offset, range_first: range.0, range_last: range.1 };
            let log = Extent { start, end: start + length };
            if let Ok(Plan { offset, mark }) = plan(From::Center, None, Some(center), log) {
                prop_assert!(log.start <= offset && offset <= log.end);
                prop_assert!(offset <= signed(max_offset) + 1, "left out");
                prop_assert_eq!(mark.epoch, epoch);
                if offset <= signed(max_offset) {
                    prop_assert_eq!((offset, mark.pending_through), (signed(range.0), Some(signed(range.1))));
                }
            }
        }

        #[test]
        fn a_new_reading_never_shares_an_epoch(at_group in proptest::option::of(0..9_u32), at_center in 0..9_u32) {
            let committed = at_group.map(|epoch| Commit { offset: 5, mark: Some(Mark { pending_through: None, epoch }) });
            for from in [From::Earliest, From::Offset(500)] {
                let epoch = plan(from, committed, latest(at_center, 400, 480, 499), LOG).unwrap().mark.epoch;
                prop_assert!(epoch > at_center && at_group.is_none_or(|used| epoch > used));
            }
        }
    }
}
