use edgefeed_storage::model::{Change, IdKind, Outcome};

use super::*;
use crate::decode::Aside;
use crate::sink::gather::Raw;

const LIMIT: Limit = Limit { rows: 100, bytes: 1 << 20 };
const FLUSH: Flush =
    Flush { least: Duration::from_secs(1), most: Duration::from_secs(30), now: Duration::from_secs(1) };

/// A share that has read this many records from offset 0 on, at `now`.
fn share(read: i64, now: Instant) -> Share {
    let at = TopicPartition { topic: Topic::Events, partition: 0 };
    let (cluster, topic) = ("c".to_owned(), "t".to_owned());
    let source = Source { ids: IdKind::U64, cluster, epoch: 0, topic, partition: 0 };
    let begin = Begin { offset: 0, mark: Mark { pending_through: None, epoch: 0 } };
    let mut share = Share::new(at, Table::Events, source, begin, FLUSH);
    for offset in 0..read {
        let nothing = (Outcome::Change(Change::Nothing), Aside::default());
        share.gathered.push(&share.source, (offset, 0), nothing, Raw::default);
        share.took(offset, false, now);
    }
    share
}

#[test]
fn at_the_end_of_the_log_the_clock_cuts_a_range() {
    let now = Instant::now();
    let share = share(60, now);
    let later = |ms| now + Duration::from_millis(ms);
    assert_eq!(share.next_end(LIMIT, 60, later(999)), None);
    assert_eq!(share.next_end(LIMIT, 60, later(1_000)), Some(59));
    assert_eq!(share.next_end(LIMIT, 50, later(1_000)), Some(49), "never past the store");
    assert_eq!(share.next_end(LIMIT, 99, later(1_000)), Some(59), "what lies ready would not fill it");
}

#[test]
fn a_backlog_fills_its_ranges_before_the_clock_cuts_them() {
    let now = Instant::now();
    let ready = share(60, now);
    let later = |s| now + Duration::from_secs(s);
    assert_eq!(ready.next_end(LIMIT, 100, later(29)), None, "40 more lie ready");
    assert_eq!(ready.next_end(LIMIT, 100, later(30)), Some(59), "nothing is held for ever");
    let full = share(130, now);
    assert_eq!(full.next_end(LIMIT, 5_000, now), Some(99), "full is full");
    assert_eq!(full.next_end(LIMIT, 80, later(29)), None, "not in small pieces behind a store that is behind");
}
