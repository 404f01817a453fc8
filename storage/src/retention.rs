//! What may be dropped: pure decisions, carried out by RocksDB's compaction.
//!
//! A dropped value is one that no read would have used: every reader checks the windows itself, so compaction may
//! come as late as it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rocksdb::compaction_filter::Decision;

use crate::counters::{self, Latest};
use crate::key::Family;
use crate::model::{DAY_MS, HOUR_MS, TimestampMs, day_of, hour_of};
use crate::value::{self, CommentRow, LinkRow, PostRow};

/// Hourly counters are read for 7 days; one day more for clocks that differ.
pub const POST_HOURS_KEPT: u32 = 8 * 24;
/// Daily partials are read for 90 days; a week longer, as at the center.
pub const PARTIAL_DAYS_KEPT: u16 = 97;
/// Views are read for 24 hours; one hour more for clocks that differ.
pub const VIEWED_KEPT_MS: i64 = 25 * HOUR_MS;

/// The time compaction judges by: the latest `now_ms` the store was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn set(&self, now_ms: TimestampMs) {
        // Not the highest ever: a clock that once jumped ahead must not go on dropping what is still read.
        self.0.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn now_ms(&self) -> TimestampMs {
        self.0.load(Ordering::Relaxed)
    }
}

/// The lifetimes that are configuration.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long removed rows are remembered.
    pub tombstones_ms: i64,
}

impl Retention {
    /// Whether anything of this family ever expires by compaction.
    pub fn applies(self, family: Family) -> bool {
        use Family::*;
        matches!(family, PostHours | UserAuthorDays | History | HistoryOf | Viewed)
            || matches!(family, Posts | Follows | Blocks | Likes | Comments | Users)
    }

    /// Whether a value may go. What cannot be read is kept: damage is for a reader to report.
    pub(crate) fn decide(self, family: Family, key: &[u8], value: &[u8], now_ms: TimestampMs) -> Decision {
        if self.expired(family, key, value, now_ms).unwrap_or(false) { Decision::Remove } else { Decision::Keep }
    }

    fn expired(self, family: Family, key: &[u8], value: &[u8], now_ms: TimestampMs) -> Option<bool> {
        let removed = match family {
            Family::PostHours => {
                let hour = u32::from_be_bytes(*key.last_chunk::<4>()?);
                return Some(hour.saturating_add(POST_HOURS_KEPT) < hour_of(now_ms));
            }
            Family::UserAuthorDays | Family::History => {
                let day = u16::from_be_bytes(*key.last_chunk::<2>()?);
                return Some(day.saturating_add(PARTIAL_DAYS_KEPT) < day_of(now_ms));
            }
            Family::HistoryOf => {
                let base = value::decode_base(family, value).ok()?;
                return Some(day_of(base.as_of_ms).saturating_add(PARTIAL_DAYS_KEPT) < day_of(now_ms));
            }
            Family::Viewed => {
                let Latest(seen) = counters::decode(family, value).ok()?;
                return Some(seen < now_ms - VIEWED_KEPT_MS);
            }
            Family::Posts => value::decode::<PostRow>(family, value).ok()?.removed,
            Family::Comments => value::decode::<CommentRow>(family, value).ok()?.removed,
            _ => value::decode::<LinkRow>(family, value).ok()?.removed,
        };
        Some(removed? < now_ms - self.tombstones_ms)
    }
}

/// The lifetime of removed rows, from days.
pub fn tombstones_ms(days: u16) -> i64 {
    i64::from(days) * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Keys;
    use crate::model::{Id, IdKind};
    use crate::value::Base;

    const NOW: TimestampMs = 1_795_376_817_860;

    fn retention() -> Retention {
        Retention { tombstones_ms: tombstones_ms(14) }
    }

    fn goes(family: Family, key: &[u8], value: &[u8]) -> bool {
        retention().expired(family, key, value, NOW).unwrap_or(false)
    }

    #[test]
    fn hours_days_and_views_go_only_when_no_window_can_reach_them() {
        let keys = Keys(IdKind::U64);
        let hour = |back: u32| keys.post_hour(Id(1), hour_of(NOW) - back);
        assert!(!goes(Family::PostHours, hour(POST_HOURS_KEPT).as_ref(), &[]));
        assert!(goes(Family::PostHours, hour(POST_HOURS_KEPT + 1).as_ref(), &[]));
        let day = |back: u16| keys.user_author_day(Id(1), Id(2), 0, day_of(NOW) - back);
        assert!(!goes(Family::UserAuthorDays, day(97).as_ref(), &[]));
        assert!(goes(Family::UserAuthorDays, day(98).as_ref(), &[]));
        let day = |back: u16| keys.history(Id(1), Id(2), day_of(NOW) - back);
        assert!(!goes(Family::History, day(97).as_ref(), &[]));
        assert!(goes(Family::History, day(98).as_ref(), &[]));
        let base = |days: i64| {
            value::encode(Family::HistoryOf, &Base { as_of_ms: NOW - days * DAY_MS, rows: 0, own_from: None }).unwrap()
        };
        assert!(!goes(Family::HistoryOf, &[], &base(97)));
        assert!(goes(Family::HistoryOf, &[], &base(98)));
        let seen = |ago: i64| counters::encode(&Latest(NOW - ago));
        assert!(!goes(Family::Viewed, &[], &seen(VIEWED_KEPT_MS)));
        assert!(goes(Family::Viewed, &[], &seen(VIEWED_KEPT_MS + 1)));
    }

    #[test]
    fn removed_rows_are_remembered_fourteen_days_and_live_rows_for_ever() {
        let row = |removed| value::encode(Family::Likes, &LinkRow { version: 1, removed }).unwrap();
        assert!(!goes(Family::Likes, &[], &row(None)));
        assert!(!goes(Family::Likes, &[], &row(Some(NOW - 14 * DAY_MS))));
        assert!(goes(Family::Likes, &[], &row(Some(NOW - 14 * DAY_MS - 1))));
    }

    #[test]
    fn what_cannot_be_read_is_kept() {
        assert!(!goes(Family::Posts, &[], &[9, 9, 9]));
        assert!(!goes(Family::PostHours, &[1], &[]));
    }
}
