//! Holds a node's own counters against the fold of the log: every event once.

use std::collections::BTreeMap;
use std::path::Path;

use edgefeed_storage::model::{Counters, HOUR_MS, IdKind, hour_of};
use edgefeed_storage::retention::POST_HOURS_KEPT;
use edgefeed_storage::{Config, OpenOptions, Store};

use super::super::fold::{Fold, Sums};
use super::super::log::{DAY, HOUR, Ids};
use crate::real::events::now_ms;

/// Every hourly and every daily sum of a store that no node holds any more; how many they are.
pub(super) fn equals(dir: &Path, ids: Ids, fold: &Fold) -> usize {
    let kind = if ids == Ids::U64 { IdKind::U64 } else { IdKind::Uuid };
    let config = Config { dir: dir.to_owned(), ..Config::default() };
    let store = Store::open(&config, OpenOptions { ids: kind, apply_truncates: false }).unwrap();
    // Late events of hours that no window reaches any more are the node's to drop.
    let oldest = hour_of(now_ms()) + 2 - POST_HOURS_KEPT;
    let mut hours: BTreeMap<(u128, u32), [u64; 6]> = BTreeMap::new();
    let kept = |at: &(u128, u32), sums: &[u64; 6]| at.1 >= oldest && sums.iter().any(|sum| *sum > 0);
    store
        .each_post_hour(|post, hour, sums| {
            hours.insert((post.0, hour), six(&sums));
        })
        .unwrap();
    hours.retain(|at, sums| kept(at, sums));
    let mut expected: BTreeMap<(u128, u32), [u64; 6]> = BTreeMap::new();
    for ((post, hour_s, _), sums) in &fold.hours {
        add(expected.entry((*post, hour_of(hour_s * 1_000))).or_default(), sums);
    }
    expected.retain(|at, sums| kept(at, sums));
    super::super::compare::same("hourly sums of the node", &expected, &hours);

    let mut pairs: BTreeMap<(u128, u128, u16, u16), [u64; 6]> = BTreeMap::new();
    store
        .each_partial(|user, author, arrival, day, sums| {
            pairs.insert((user.0, author.0, arrival, day), six(&sums.counters));
        })
        .unwrap();
    pairs.retain(|_, sums| sums.iter().any(|sum| *sum > 0));
    let mut expected: BTreeMap<(u128, u128, u16, u16), [u64; 6]> = BTreeMap::new();
    for ((user, author, day, arrival), sums) in &fold.pairs {
        add(expected.entry((*user, *author, *arrival as u16, *day as u16)).or_default(), sums);
    }
    super::super::compare::same("daily sums of the node", &expected, &pairs);
    assert_eq!((HOUR, DAY), (HOUR_MS, 24 * HOUR_MS));
    hours.len() + pairs.len()
}

fn six(sums: &Counters) -> [u64; 6] {
    let count = u64::from;
    [
        count(sums.views),
        count(sums.impressions),
        count(sums.likes),
        count(sums.comments),
        count(sums.shares),
        sums.dwell_ms,
    ]
}

fn add(sum: &mut [u64; 6], more: &Sums) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}
