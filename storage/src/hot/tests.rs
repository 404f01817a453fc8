//! What stands ready is what a walk would find, whatever happened to a post and whichever hour runs.

use proptest::prelude::*;

use super::{Hot, LoadedPost, PostFacts};
use crate::counters::RowCounts;
use crate::model::{Counters, HOUR_MS, Hour, Id};

const POST: Id = Id(7);
const FIRST: Hour = 400_000;

/// Something that changes a post's hours, or the hour that runs.
#[derive(Clone, Debug)]
enum Step {
    Add(Hour, u32),
    Take(Hour, u32),
    Now(Hour),
    Age(Hour),
}

fn step() -> impl Strategy<Value = Step> {
    let hour = || (0..60_u32).prop_map(|hours| FIRST + hours);
    let count = || prop_oneof![1..5_u32, Just(u32::MAX)];
    prop_oneof![
        4 => (hour(), count()).prop_map(|(hour, count)| Step::Add(hour, count)),
        2 => (hour(), count()).prop_map(|(hour, count)| Step::Take(hour, count)),
        1 => hour().prop_map(Step::Now),
        1 => hour().prop_map(Step::Age),
    ]
}

fn counters(count: u32) -> Counters {
    Counters { views: count, impressions: count, likes: count / 2, comments: count / 3, shares: 1, dwell_ms: 0 }
}

fn carry_out(hot: &mut Hot, step: &Step) {
    let at = |hour: Hour| i64::from(hour) * HOUR_MS + 1;
    match *step {
        Step::Add(hour, count) => hot.add_events(POST, hour, &counters(count)),
        Step::Take(hour, count) => hot.take_events(POST, hour, &counters(count)),
        Step::Now(hour) => hot.now(at(hour)),
        Step::Age(hour) => drop(hot.age(0..10, at(hour))),
    }
}

fn by_hand(facts: &PostFacts, first: Hour, last: Hour) -> Counters {
    let mut sum = Counters::default();
    for counts in facts.hours.iter().filter(|counts| (first..=last).contains(&counts.hour)) {
        sum.add(&counts.counters());
    }
    sum
}

proptest! {
    #[test]
    fn sums_that_stand_ready_are_those_of_the_hours(steps in prop::collection::vec(step(), 0..40)) {
        let mut hot = Hot::new(1 << 20, 0);
        let created_at = i64::from(FIRST) * HOUR_MS;
        let post = LoadedPost { id: POST, created_at, counts: RowCounts::default(), hours: Vec::new() };
        hot.put_author(Id(1), vec![post]);
        for step in &steps {
            carry_out(&mut hot, step);
            let facts = hot.find(POST).and_then(|post| hot.facts(post)).unwrap();
            for last in FIRST..FIRST + 62 {
                for hours in [1, 24, 30] {
                    let first = last - (hours - 1);
                    prop_assert_eq!(facts.sum(first, last), by_hand(facts, first, last), "{:?} to {}", step, last);
                }
            }
            let newest = facts.hours.last().map(|counts| counts.hour);
            for first in FIRST..FIRST + 62 {
                prop_assert_eq!(facts.active_since(first), newest.is_some_and(|newest| newest >= first));
                prop_assert_eq!(facts.hours(first, Hour::MAX).count(), facts.hours.iter().filter(|counts| counts.hour >= first).count());
            }
        }
    }
}

#[test]
fn a_post_is_found_where_it_was_and_where_it_has_gone() {
    let post = |id: u128| LoadedPost { id: Id(id), created_at: 5, counts: RowCounts::default(), hours: Vec::new() };
    let mut hot = Hot::new(1 << 20, 0);
    hot.put_author(Id(1), vec![post(7)]);
    let place = hot.find(Id(7)).unwrap();
    assert_eq!(hot.find_from(Id(7), place), Some(place));
    hot.post_changed(Id(7), None);
    assert_eq!(hot.find_from(Id(7), place), None);
    hot.put_author(Id(2), vec![post(8)]);
    assert_eq!(hot.find(Id(8)), Some(place), "a free place is taken");
    assert_eq!(hot.find_from(Id(7), place), None, "by another post");
    hot.put_author(Id(1), vec![post(7)]);
    assert_ne!(hot.find(Id(7)), Some(place));
    assert_eq!(hot.find_from(Id(7), place), hot.find(Id(7)));
}
