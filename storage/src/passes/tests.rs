//! Who follows the posts in memory knows what one knows who looks at all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;

use super::{Progress, Told};
use crate::counters::RowCounts;
use crate::hot::LoadedPost;
use crate::model::{Counters, HOUR_MS, Hour, Id, IdKind, TimestampMs};
use crate::{Config, OpenOptions, PostFacts, PostNo, Store};

const FIRST: Hour = 400_000;

/// Something that happens to what is in memory.
#[derive(Clone, Debug)]
enum Step {
    Load(u64, Vec<u64>),
    Add(u64, Hour),
    Take(u64, Hour),
    Rows(u64),
    Move(u64, u64),
    Remove(u64),
    Age(Hour),
    StartOver,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let (post, author, hour) = (|| 0..12_u64, || 0..5_u64, || FIRST..FIRST + 3);
    prop_oneof![
        4 => (author(), prop::collection::vec(post(), 0..8)).prop_map(|(author, posts)| Step::Load(author, posts)),
        4 => (post(), hour()).prop_map(|(post, hour)| Step::Add(post, hour)),
        2 => (post(), hour()).prop_map(|(post, hour)| Step::Take(post, hour)),
        1 => post().prop_map(Step::Rows),
        1 => (post(), author()).prop_map(|(post, author)| Step::Move(post, author)),
        2 => post().prop_map(Step::Remove),
        1 => (FIRST..FIRST + 300).prop_map(Step::Age),
        1 => Just(Step::StartOver),
        4 => Just(Step::Look),
    ]
}

const fn at(hour: Hour) -> TimestampMs {
    hour as i64 * HOUR_MS
}

fn id(number: u64) -> Id {
    Id(u128::from(number))
}

fn loaded(post: u64) -> LoadedPost {
    LoadedPost { id: id(post), created_at: at(FIRST), counts: RowCounts::default(), hours: Vec::new() }
}

fn carry_out(store: &Store, step: &Step) {
    let views = Counters { views: 1, ..Counters::default() };
    let mut hot = store.hot.write();
    match step {
        Step::Load(author, posts) => hot.put_author(id(100 + author), posts.iter().map(|post| loaded(*post)).collect()),
        Step::Add(post, hour) => hot.add_events(id(*post), *hour, &views),
        Step::Take(post, hour) => hot.take_events(id(*post), *hour, &views),
        Step::Rows(post) => hot.add_rows(id(*post), 1, 0),
        Step::Move(post, author) => hot.post_changed(id(*post), Some((id(100 + author), at(FIRST) + 1))),
        Step::Remove(post) => hot.post_changed(id(*post), None),
        Step::Age(hour) => drop(hot.age(0..100, at(*hour))),
        Step::StartOver => hot.start_over(),
        Step::Look => {}
    }
}

/// What is said of a post: its time, its likes, its hours.
type Said = (Id, TimestampMs, u64, Vec<(Hour, u32)>);

fn said(post: &PostFacts) -> Said {
    let hours = post.hours(0, Hour::MAX).map(|(hour, sum)| (hour, sum.views)).collect();
    (post.id(), post.created_at(), post.like_count(), hours)
}

/// What somebody has been told.
#[derive(Debug, Default)]
struct Follower {
    progress: Progress,
    known: BTreeMap<u32, Said>,
    told: usize,
}

impl Follower {
    fn look(&mut self, store: &Store) {
        let (known, told) = (&mut self.known, &mut self.told);
        store.follow_posts(&mut self.progress, |what| match what {
            Told::Anew => known.clear(),
            Told::Gone(place) => drop(known.remove(&u32::from(place))),
            Told::Post(place, post) => {
                known.insert(u32::from(place), said(post));
                *told += 1;
            }
        });
    }

    /// What one knows who begins now.
    fn of_all(store: &Store) -> BTreeMap<u32, Said> {
        let hot = store.hot.read();
        let places = (0..hot.slots()).map(|slot| PostNo::from(slot as u32));
        places.filter_map(|place| Some((u32::from(place), said(hot.facts(place)?)))).collect()
    }
}

fn store(dir: &std::path::Path) -> Store {
    let config = Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
}

#[test]
fn who_follows_knows_what_one_knows_who_looks_at_everything() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    proptest!(ProptestConfig::with_cases(400), |(steps in prop::collection::vec(step(), 0..60))| {
        store.hot.write().start_over();
        // Two of them, who look at other times and do not take anything away from each other.
        let (mut often, mut seldom) = (Follower::default(), Follower::default());
        for (number, step) in steps.iter().enumerate() {
            carry_out(&store, step);
            if matches!(step, Step::Look) {
                often.look(&store);
                prop_assert_eq!(&often.known, &Follower::of_all(&store));
            }
            if number % 7 == 0 {
                seldom.look(&store);
                prop_assert_eq!(&seldom.known, &Follower::of_all(&store));
            }
        }
    });
}

#[test]
fn who_follows_is_told_of_what_changed_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    carry_out(&store, &Step::Load(1, (0..1_000).collect()));
    let mut follower = Follower::default();
    follower.look(&store);
    assert_eq!(follower.told, 1_000);
    for post in [3, 999, 3] {
        carry_out(&store, &Step::Add(post, FIRST));
    }
    follower.look(&store);
    assert_eq!(follower.told, 1_002);
    follower.look(&store);
    assert_eq!(follower.told, 1_002);
}

#[test]
fn what_changes_while_somebody_looks_is_told_then_or_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    const POSTS: u64 = 20_000;
    carry_out(&store, &Step::Load(1, (0..POSTS).collect()));
    let over = AtomicBool::new(false);
    let mut follower = Follower::default();
    let changed = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
            let mut changed = 0;
            while !over.load(Ordering::Relaxed) {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                let post = dice % POSTS;
                match (dice >> 32) % 50 {
                    0 => carry_out(&store, &Step::Remove(post)),
                    1 => carry_out(&store, &Step::Load(2, vec![post])),
                    _ => carry_out(&store, &Step::Add(post, FIRST + (dice >> 48) as u32 % 9)),
                }
                changed += 1;
                if changed % 40_000 == 0 {
                    carry_out(&store, &Step::StartOver);
                    carry_out(&store, &Step::Load(1, (0..POSTS).collect()));
                }
            }
            changed
        });
        for _ in 0..200 {
            follower.look(&store);
        }
        over.store(true, Ordering::Relaxed);
        changing.join().unwrap()
    });
    assert!(changed > 1_000, "it did change meanwhile: {changed}");
    follower.look(&store);
    assert_eq!(follower.known, Follower::of_all(&store));
}
