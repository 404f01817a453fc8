//! What holds of a store that was built from facts, whatever stopped the building.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::counters::{Partial, RowCounts};
use crate::model::{Counters, HOUR_MS, Id, IdKind, TimestampMs, Topic, day_of, hour_of};
use crate::value::{CommentRow, LinkRow, PostRow};

const NOW: TimestampMs = 1_795_376_817_860;
const OPTIONS: OpenOptions = OpenOptions { ids: IdKind::U64, apply_truncates: false };

fn config(dir: &Path) -> Config {
    Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Config::default() }
}

fn link(version: u64, removed: Option<TimestampMs>) -> LinkRow {
    LinkRow { version, removed }
}

/// A small world: user 1 follows 10 and no longer 11, blocks 12, and read author 10.
fn fill(build: &Build) {
    let mut run = build.sorted(Family::Posts);
    for (id, author) in [(100, 10), (101, 11), (102, 10)] {
        let author = Some((Id(author), NOW - HOUR_MS));
        run.post(Id(id), &PostRow { version: 5, removed: None, hidden: id == 102, author }).unwrap();
    }
    run.finish().unwrap();
    let mut run = build.sorted(Family::Follows);
    run.link(Id(1), Id(10), &link(5, None)).unwrap();
    run.link(Id(1), Id(11), &link(6, Some(NOW))).unwrap();
    run.link(Id(2), Id(10), &link(6, None)).unwrap();
    run.finish().unwrap();
    let mut run = build.sorted(Family::Blocks);
    run.link(Id(1), Id(12), &link(5, None)).unwrap();
    run.finish().unwrap();
    let mut run = build.sorted(Family::Likes);
    for (user, removed) in [(1, None), (2, None), (3, Some(NOW))] {
        run.link(Id(user), Id(100), &link(5, removed)).unwrap();
    }
    run.finish().unwrap();
    let mut run = build.sorted(Family::Comments);
    run.comment(Id(70), &CommentRow { version: 5, removed: None, post: Some(Id(100)), user: None }).unwrap();
    run.finish().unwrap();
    let views = Partial { counters: Counters { views: 3, ..Counters::default() }, last_time: NOW };
    let mut run = build.sorted(Family::History);
    run.history(Id(1), Id(10), day_of(NOW), &views).unwrap();
    run.finish().unwrap();
    let mut run = build.sorted(Family::PostHours);
    run.post_hour(Id(100), hour_of(NOW), &views.counters).unwrap();
    run.finish().unwrap();
    let mut run = build.sorted(Family::Dedup);
    run.event_id(0, hour_of(NOW), 77, 41).unwrap();
    run.finish().unwrap();
}

fn foundation() -> Foundation {
    let at = TopicPartition { topic: Topic::Events, partition: 0 };
    let position = Position { next_offset: 50, last_offset: 49, last_time: NOW, watermark: NOW, marked_from: 50 };
    Foundation {
        positions: [(at, position)].into(),
        begins: [(0, Begin { offset: 50, time: Some(NOW) })].into(),
        base: Some(Base { as_of_ms: NOW, rows: 0, own_from: None }),
    }
}

/// Everything the small world has, as a store tells it.
fn check(store: &Store) {
    let view = store.view(Id(1), NOW).unwrap();
    let viewer = view.viewer();
    let ids = |numbers: &[crate::AuthorNo]| numbers.iter().map(|no| view.author_id(*no).unwrap().0).collect::<Vec<_>>();
    assert_eq!(ids(&viewer.follows), [10]);
    assert_eq!(viewer.blocked.len(), 1);
    assert_eq!(viewer.history[0].1.views, 3);
    drop(view);
    let (mut followers, mut counts, mut posts) = (BTreeSet::new(), Vec::new(), Vec::new());
    store.each_index(Family::Followers, |of, who| followers.extend([(of.0, who.0)])).unwrap();
    store.each_row_counts(|post, sums| counts.push((post.0, sums))).unwrap();
    store.each_author_post(|author, _, post| posts.push((author.0, post.0))).unwrap();
    assert_eq!(followers, BTreeSet::from([(10, 1), (10, 2)]));
    assert_eq!(counts, [(100, RowCounts { likes: 2, comments: 1 })]);
    assert_eq!(posts, [(10, 100), (11, 101)], "a hidden post is listed nowhere");
    assert_eq!(store.begins(), foundation().begins);
    assert_eq!(store.positions().unwrap(), foundation().positions);
    assert_eq!(store.base_of(Id(9)).unwrap(), foundation().base);
}

#[test]
fn a_built_store_is_opened_as_any_other_and_goes_on_with_kafka() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let build = Build::open(&config, OPTIONS, None).unwrap();
    fill(&build);
    build.derive(|_| {}).unwrap();
    build.finish(&foundation()).unwrap();
    assert_eq!(build.make_current().unwrap(), 1);
    let store = Store::open(&config, OPTIONS).unwrap();
    check(&store);
    // An id from before is a repeat, and one that is new is not.
    let at = TopicPartition { topic: Topic::Events, partition: 0 };
    let event = |offset: i64, id: u128| crate::model::Record {
        at,
        offset,
        time: NOW + 1,
        outcome: crate::model::Outcome::Change(crate::model::Change::Event(crate::model::Event {
            event_id: id,
            event_time: NOW,
            user: Id(1),
            post: Id(100),
            author: Some(Id(10)),
            action: crate::model::Action::View,
            dwell_ms: 0,
        })),
        raw: None,
    };
    let applied = store.apply(&[event(49, 5), event(50, 77), event(51, 78)], NOW).unwrap();
    assert_eq!((applied.dedup_hits, applied.dedup_misses), (1, 1));
    assert_eq!(store.marks(at, 0..=100).unwrap(), [50]);
    assert_eq!(store.view(Id(1), NOW).unwrap().viewer().history[0].1.views, 4);
}

#[test]
fn a_build_that_was_killed_goes_on_and_comes_out_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let build = Build::open(&config, OPTIONS, None).unwrap();
    assert_eq!(build.note().unwrap(), None);
    fill(&build);
    build.keep_note("half").unwrap();
    // A run that was never finished, and a second time of everything.
    let mut lost = build.sorted(Family::Posts);
    lost.post(Id(999), &PostRow { version: 9, removed: None, hidden: false, author: None }).unwrap();
    drop(lost);
    build.derive(|_| {}).unwrap();
    drop(build);
    let build = Build::open(&config, OPTIONS, None).unwrap();
    assert_eq!(build.note().unwrap().as_deref(), Some("half"));
    fill(&build);
    build.derive(|_| {}).unwrap();
    build.finish(&foundation()).unwrap();
    build.make_current().unwrap();
    check(&Store::open(&config, OPTIONS).unwrap());
}

#[test]
fn the_store_that_serves_is_held_and_answers_until_the_other_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let store = Store::open(&config, OPTIONS).unwrap();
    store.put_history(Id(1), &[], NOW, None).unwrap();
    assert!(matches!(Build::open(&config, OPTIONS, None), Err(StoreError::Held { .. })), "somebody has it");
    let build = Build::open(&config, OPTIONS, Some(&store)).unwrap();
    fill(&build);
    build.derive(|_| {}).unwrap();
    build.finish(&foundation()).unwrap();
    let epoch = build.epoch();
    drop(build);
    let next = store.beside(&config, OPTIONS, epoch).unwrap();
    check(&next);
    assert!(store.base_of(Id(1)).unwrap().is_some(), "the old one still answers");
    next.make_current(&config).unwrap();
    drop(store);
    next.remove_earlier(&config).unwrap();
    assert!(!config.dir.join("db").exists());
    assert!(matches!(Store::open(&config, OPTIONS), Err(StoreError::Held { .. })));
    drop(next);
    check(&Store::open(&config, OPTIONS).unwrap());
}

#[test]
fn a_build_that_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let build = Build::open(&config, OPTIONS, None).unwrap();
    fill(&build);
    build.keep_note("half").unwrap();
    let build = build.start_over(&config, OPTIONS, None).unwrap();
    assert_eq!(build.note().unwrap(), None);
    build.finish(&Foundation::default()).unwrap();
    build.make_current().unwrap();
    let store = Store::open(&config, OPTIONS).unwrap();
    assert!(store.positions().unwrap().is_empty());
    store.each_post(|id, _| panic!("{id:?}")).unwrap();
}

/// Indexes and counts of more rows than are gathered at once, in an order of their own.
#[test]
fn indexes_and_counts_are_whole_however_many_passes_they_take() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { memory_budget_bytes: 64 << 10, ..config(dir.path()) };
    let build = Build::open(&config, OPTIONS, None).unwrap();
    let followed = |user: u64, n: u64| (user * 7_919 + n * 104_729) % 4_001;
    let (mut pairs, mut run) = (BTreeSet::new(), build.sorted(Family::Follows));
    let mut likes = std::collections::BTreeMap::<u128, i64>::new();
    for user in 0..4_000 {
        let ids: BTreeSet<u64> = (0..3).map(|n| followed(user, n)).collect();
        for id in ids {
            run.link(Id(user.into()), Id(id.into()), &link(1, None)).unwrap();
            pairs.insert((u128::from(id), u128::from(user)));
        }
    }
    run.finish().unwrap();
    let mut run = build.sorted(Family::Likes);
    for (user, post) in pairs.iter().map(|(id, user)| (*user, *id)).collect::<BTreeSet<_>>() {
        run.link(Id(user), Id(post), &link(1, None)).unwrap();
        *likes.entry(post).or_default() += 1;
    }
    run.finish().unwrap();
    let mut passes = 0;
    build.derive(|_| passes += 1).unwrap();
    assert!(passes > 6, "this proves nothing in {passes} passes");
    build.finish(&Foundation::default()).unwrap();
    build.make_current().unwrap();
    let store = Store::open(&Config { memory_budget_bytes: 64 << 20, ..config }, OPTIONS).unwrap();
    let (mut found, mut counted) = (BTreeSet::new(), std::collections::BTreeMap::new());
    store.each_index(Family::Followers, |of, who| found.extend([(of.0, who.0)])).unwrap();
    store.each_row_counts(|post, counts| counted.extend([(post.0, counts.likes)])).unwrap();
    assert_eq!(found, pairs);
    assert_eq!(counted, likes);
}
