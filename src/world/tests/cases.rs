//! The cast's special cases.

use std::collections::{HashMap, HashSet};

use edgefeed_storage::model::{Action, DAY_MS, Id, IdKind, RowKey, TimestampMs, day_of, hour_of};

use super::super::{Case, Op, Role, RowFact, TableRow};
use super::{events, rows, small};

/// Where a post's row stands at the end: `None` when it is gone, else whether it is softly deleted.
fn end_of(rows: &[(TimestampMs, RowFact)], post: Id) -> Option<bool> {
    let last = rows.iter().rfind(|(_, fact)| fact.row.key() == RowKey::Post(post));
    match last.map(|(_, fact)| (fact.op, fact.row)) {
        Some((Op::Delete, _)) | None => None,
        Some((_, TableRow::Post { deleted_at, .. })) => Some(deleted_at.is_some()),
        Some(other) => panic!("not a post: {other:?}"),
    }
}

#[test]
fn the_window_ends_are_hit_to_the_millisecond() {
    let world = small(IdKind::Uuid);
    let now = world.config().now_ms;
    let cases = [
        (Case::At24h, now - DAY_MS),
        (Case::Beyond24h, now - DAY_MS - 1),
        (Case::At72h, now - 3 * DAY_MS),
        (Case::Beyond72h, now - 3 * DAY_MS - 1),
        (Case::At14d, now - 14 * DAY_MS),
        (Case::Beyond14d, now - 14 * DAY_MS - 1),
        (Case::AtNow, now),
        (Case::Ahead, now + 1),
        (Case::FarAhead, now + DAY_MS),
    ];
    let told: HashMap<Id, TimestampMs> = rows(&world)
        .into_iter()
        .filter_map(|(_, fact)| match fact.row {
            TableRow::Post { id, created_at, .. } => Some((id, created_at)),
            _ => None,
        })
        .collect();
    for (case, created_at) in cases {
        let post = world.cast().of(case).next().unwrap();
        assert_eq!(post.created_at, created_at, "{case:?}");
        assert_eq!(told.get(&post.id), Some(&created_at), "{case:?}");
    }
}

#[test]
fn the_viewer_viewed_posts_24_hours_ago_and_a_millisecond_to_either_side() {
    let world = small(IdKind::Uuid);
    let viewer = world.cast().id(Role::Viewer);
    let told = events(&world);
    let cases = [(Case::ViewedBeyond24h, 1), (Case::ViewedAt24h, 0), (Case::ViewedWithin24h, -1)];
    for (case, beyond) in cases {
        let post = world.cast().of(case).next().unwrap();
        let views: Vec<_> = told.iter().filter(|(_, event)| event.post == post.id).collect();
        assert_eq!(views.len(), 1);
        let (_, view) = views[0];
        assert_eq!((view.user, view.action), (viewer, Action::View));
        assert_eq!(view.event_time, world.config().now_ms - DAY_MS - beyond, "{case:?}");
    }
}

#[test]
fn equal_scores_have_equal_times_equal_followers_and_no_engagement() {
    let world = small(IdKind::Uuid);
    let twins: Vec<_> = world.cast().of(Case::Twins).collect();
    assert_eq!(twins.len(), 24);
    for pair in twins.chunks(2) {
        assert_eq!(pair[0].created_at, pair[1].created_at);
        assert_ne!(pair[0].author, pair[1].author);
    }
    let own: Vec<_> = world.cast().of(Case::OwnTwins).collect();
    assert_eq!((own.len(), own[0].author, own[0].created_at), (2, own[1].author, own[1].created_at));
    let quiet: HashSet<Id> = twins.iter().chain(&own).map(|post| post.id).collect();
    assert!(events(&world).iter().all(|(_, event)| !quiet.contains(&event.post)));

    let fans = |role| -> HashSet<Id> {
        let idol = world.cast().id(role);
        rows(&world)
            .into_iter()
            .filter_map(|(_, fact)| match fact.row {
                TableRow::Follow { follower, following, .. } if following == idol => Some(follower),
                _ => None,
            })
            .collect()
    };
    assert!(fans(Role::TwinA).len() > 20);
    assert_eq!(fans(Role::TwinA), fans(Role::TwinB));
}

#[test]
fn posts_are_deleted_softly_firmly_and_restored() {
    let world = small(IdKind::Uuid);
    let rows = rows(&world);
    let ends = |case| -> Vec<Option<bool>> { world.cast().of(case).map(|post| end_of(&rows, post.id)).collect() };
    assert_eq!(ends(Case::SoftDeleted), [Some(true); 2]);
    assert_eq!(ends(Case::HardDeleted), [None; 2]);
    assert_eq!(ends(Case::Restored), [Some(false); 2]);
    assert_eq!(ends(Case::Toasted), [Some(false); 2]);
    let ordinary = (0..world.post_count()).map(|post| end_of(&rows, world.post(post).id));
    let counts = ordinary.fold([0u32; 3], |mut counts, end| {
        counts[end.map_or(0, |soft| 1 + usize::from(soft))] += 1;
        counts
    });
    assert!(counts[0] > 3 && counts[2] > 10, "gone, there, soft: {counts:?}");
}

#[test]
fn people_block_both_ways_unblock_unfollow_and_hide() {
    let world = small(IdKind::Uuid);
    let cast = world.cast();
    let viewer = cast.id(Role::Viewer);
    let mut live: HashSet<RowKey> = HashSet::new();
    for (_, fact) in rows(&world) {
        let key = fact.row.key();
        if fact.op == Op::Delete {
            live.remove(&key)
        } else {
            live.insert(key)
        };
    }
    assert!(live.contains(&RowKey::Block(cast.id(Role::Blocking), viewer)));
    assert!(live.contains(&RowKey::Block(viewer, cast.id(Role::Blocked))));
    assert!(!live.contains(&RowKey::Block(viewer, cast.id(Role::Unblocked))));
    assert!(!live.contains(&RowKey::Follow(viewer, cast.id(Role::Left))));
    assert!(live.contains(&RowKey::Follow(viewer, cast.id(Role::Returned))));
    for role in [Role::Admired, Role::Remembered, Role::Forgotten, Role::Glimpsed, Role::Viral] {
        assert!(!live.contains(&RowKey::Follow(viewer, cast.id(role))), "{role:?}");
    }
    let hidden: Vec<Id> = cast.of(Case::Hidden).map(|post| post.id).collect();
    let told = events(&world);
    let hides = told.iter().filter(|(_, event)| hidden.contains(&event.post) && event.action == Action::Hide);
    assert_eq!(hides.map(|(at, event)| at - event.event_time > DAY_MS).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn affinity_reaches_its_first_day_and_not_the_day_before() {
    let world = small(IdKind::Uuid);
    let today = day_of(world.config().now_ms);
    let told = events(&world);
    let day = |case| {
        let post = world.cast().of(case).next().unwrap();
        let likes: Vec<_> = told.iter().filter(|(_, event)| event.post == post.id).collect();
        assert_eq!(likes.len(), 1, "{case:?}");
        day_of(likes[0].1.event_time)
    };
    assert_eq!(day(Case::Remembered), today - 89);
    assert_eq!(day(Case::Forgotten), today - 90);
}

#[test]
fn the_round_goes_at_the_ends_of_the_hourly_windows() {
    let world = small(IdKind::Uuid);
    let now_hour = hour_of(world.config().now_ms);
    let viral = world.cast().of(Case::Viral).next().unwrap();
    let mut hours: Vec<u32> = events(&world)
        .iter()
        .filter(|(at, event)| event.post == viral.id && event.event_time <= *at)
        .map(|(_, event)| now_hour - hour_of(event.event_time))
        .collect();
    hours.sort_unstable();
    hours.dedup();
    assert_eq!(hours, [0, 1, 2, 23, 24, 25]);
}
