//! Traffic without end.

use std::collections::{HashMap, HashSet};

use edgefeed_storage::model::{Id, IdKind, Topic};

use super::super::{RowFact, TableRow, What};
use super::{rows, small};

#[test]
fn live_traffic_rises_has_every_kind_and_goes_on_above_the_history() {
    let world = small(IdKind::Uuid);
    let now = world.config().now_ms;
    let last = rows(&world).iter().map(|(_, fact)| fact.lsn).max().unwrap();
    let mut live = world.live(1);
    let mut kinds: HashSet<(Topic, Option<&str>)> = HashSet::new();
    let mut actions = HashSet::new();
    let mut before = now;
    for tick in 0..60_000 {
        let fact = live.next_at(now + tick * 25);
        assert!(fact.time_ms >= before);
        before = fact.time_ms;
        match fact.what {
            What::Event(event) => {
                kinds.insert((Topic::Events, None));
                actions.insert(event.action);
            }
            What::Row(row) => {
                assert!(row.lsn > last);
                kinds.insert((row.row.topic(), Some(row.op.letter())));
            }
        }
    }
    assert_eq!(actions.len(), 6);
    for topic in [Topic::Posts, Topic::Follows, Topic::Comments, Topic::Likes, Topic::Blocks] {
        assert!(kinds.contains(&(topic, Some("c"))) && kinds.contains(&(topic, Some("d"))), "{topic:?}");
    }
    assert!(kinds.contains(&(Topic::Posts, Some("u"))) && kinds.contains(&(Topic::Events, None)));
}

#[test]
fn live_traffic_of_another_salt_repeats_no_event_and_no_post() {
    let world = small(IdKind::Uuid);
    let ids = |salt| -> HashSet<u128> {
        let mut live = world.live(salt);
        (0..5_000)
            .filter_map(|tick| match live.next_at(world.config().now_ms + tick).what {
                What::Event(event) => event.event_id,
                What::Row(RowFact { row: TableRow::Post { id, .. }, .. }) => Some(id.0),
                What::Row(_) => None,
            })
            .collect()
    };
    assert!(ids(1).is_disjoint(&ids(2)));
}

#[test]
fn events_of_live_traffic_are_mostly_about_recent_posts() {
    let world = small(IdKind::Uuid);
    let newest: HashSet<Id> = (world.post_count() / 2..world.post_count()).map(|post| world.post(post).id).collect();
    let mut live = world.live(1);
    let mut counts: HashMap<Id, u32> = HashMap::new();
    for tick in 0..5_000 {
        if let What::Event(event) = live.next_at(world.config().now_ms + tick).what {
            *counts.entry(event.post).or_default() += 1;
        }
    }
    let all: u32 = counts.values().sum();
    let old: u32 = (0..world.post_count() / 2).filter_map(|post| counts.get(&world.post(post).id)).sum();
    let most = counts.values().max().copied().unwrap();
    assert!(old < all / 2, "{old} of {all}, {} recent", newest.len());
    assert!(most > all / 50, "{most} of {all}");
}
