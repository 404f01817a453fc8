//! Whether a partition brings mostly bad records: then its writers have changed their schema, and letting everything
//! pass into the dead letters would only hide that. Pure.

use std::collections::VecDeque;

/// How many records are looked back on.
const WINDOW: usize = 10_000;
/// How many bad ones it takes at the least.
const LEAST: usize = 1_000;

/// The last records of a partition.
#[derive(Debug, Default)]
pub(crate) struct BadRecords {
    last: VecDeque<bool>,
    bad: usize,
}

impl BadRecords {
    /// Notes a record; tells whether, with it, more than half of the last 10,000 and at least 1,000 are bad.
    pub(crate) fn note(&mut self, bad: bool) -> bool {
        if self.last.len() == WINDOW && self.last.pop_front() == Some(true) {
            self.bad -= 1;
        }
        self.last.push_back(bad);
        self.bad += usize::from(bad);
        self.bad >= LEAST && self.bad * 2 > self.last.len()
    }

    /// Starts over, as after somebody has accepted what there was.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_at(records: impl IntoIterator<Item = bool>) -> Option<usize> {
        let mut window = BadRecords::default();
        records.into_iter().position(|bad| window.note(bad))
    }

    #[test]
    fn a_thousand_bad_ones_and_more_than_half_are_a_break() {
        assert_eq!(broken_at(std::iter::repeat_n(true, 999)), None);
        assert_eq!(broken_at(std::iter::repeat_n(true, 1_000)), Some(999));
        assert_eq!(broken_at((0..100_000).map(|n| n % 2 == 1)), None, "half is not more than half");
        assert_eq!(broken_at((0..100_000).map(|n| n % 10 == 0)), None);
    }

    #[test]
    fn good_records_of_long_ago_do_not_cover_up_a_break() {
        let records = std::iter::repeat_n(false, 1_000_000).chain(std::iter::repeat_n(true, 10_000));
        assert_eq!(broken_at(records), Some(1_000_000 + 5_000));
    }
}
