//! The views held against `events`. An insert reaches `events` first and its views a moment later, so a difference counts
//! only when a second look finds the same.

use std::collections::BTreeMap;
use std::time::Duration;

use edgefeed_storage::model::{Day, TimestampMs, day_of};

use super::finding::Verdict;
use super::{Audit, Result};
use crate::center::View;
use crate::center::audit::{Sum, SumKey};

/// Days of arrival compared, and days that rows are about: a week less than the tables keep, which let go of a row by
/// different times of it.
const ARRIVED_DAYS: Day = 90;
const ABOUT_DAYS: Day = 90;
/// Between two looks at what differs: more than an insert takes to reach the views.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1_500);
/// Looks at what differs.
const LOOKS: usize = 3;

impl Audit {
    /// Compares every view.
    pub(super) async fn sums(&self, now_ms: TimestampMs, verdict: &mut Verdict) -> Result<()> {
        let today = day_of(now_ms);
        let Some(there) = self.center.arrival_days(self.limit).await? else { return Ok(()) };
        let days = (*there.start()).max(today.saturating_sub(ARRIVED_DAYS))..=(*there.end()).max(today);
        let about = today.saturating_sub(ABOUT_DAYS);
        for view in View::ALL {
            verdict.compare(view.table(), u64::from(days.end().saturating_sub(*days.start())) + 1);
            let mut kept: Option<BTreeMap<SumKey, Sum>> = None;
            for look in 0..LOOKS {
                let seen = self.look(view, days.clone(), about).await?;
                kept = Some(match kept {
                    None => seen,
                    Some(before) => stays(&before, seen),
                });
                if kept.as_ref().is_none_or(BTreeMap::is_empty) {
                    break;
                }
                if look + 1 < LOOKS {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                }
            }
            verdict.sums.extend(kept.into_iter().flat_map(BTreeMap::into_values));
        }
        Ok(())
    }

    async fn look(&self, view: View, days: std::ops::RangeInclusive<Day>, about: Day) -> Result<BTreeMap<SumKey, Sum>> {
        let mut seen = BTreeMap::new();
        for day in self.center.days_that_differ(view, days, about, self.limit).await? {
            let room = self.most.saturating_sub(seen.len());
            let sums = self.center.sums_that_differ(view, day, about, room, self.limit).await?;
            seen.extend(sums.into_iter().map(|sum| (sum.key.clone(), sum)));
        }
        Ok(seen)
    }
}

/// What differs as it did before. A row that counts on meanwhile differs by the same on both looks.
fn stays(before: &BTreeMap<SumKey, Sum>, now: BTreeMap<SumKey, Sum>) -> BTreeMap<SumKey, Sum> {
    let by =
        |sum: &Sum| -> Vec<u64> { sum.due.iter().zip(&sum.held).map(|(due, held)| due.wrapping_sub(*held)).collect() };
    now.into_iter().filter(|(key, sum)| before.get(key).is_some_and(|was| by(was)[..6] == by(sum)[..6])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(held: u64, due: u64) -> Sum {
        let key = SumKey { view: View::Daily, arrived: 7, key: vec!["1".to_owned()] };
        Sum { key, held: vec![held, 0, 0, 0, 0, 0], due: vec![due, 0, 0, 0, 0, 0] }
    }

    #[test]
    fn what_differs_by_the_same_twice_stays_and_what_was_on_its_way_does_not() {
        let map = |sum: Sum| BTreeMap::from([(sum.key.clone(), sum)]);
        assert_eq!(stays(&map(sum(3, 4)), map(sum(13, 14))).len(), 1, "it counts on and lacks one all the same");
        assert!(stays(&map(sum(3, 4)), map(sum(4, 6))).is_empty());
        assert!(stays(&BTreeMap::new(), map(sum(3, 4))).is_empty());
    }
}
