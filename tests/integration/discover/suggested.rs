//! Suggested users: friends of friends by mutual count, with the reason, whatever the graph.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed::suggest::{self, SuggestedRequest, SuggestedUsers, Suggestions};
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::Store;
use edgefeed_storage::model::{Id, IdKind};
use edgefeed_sync::Lag;

use super::town::{NOW, Town};
use crate::compare;
use crate::crash::dice::{Dice, times};
use crate::formula::{apply, fold, viewers};
use crate::oracle::Oracle;

/// What is found for a viewer equals the oracle's: users, order, counts, and the first of the mutual ones.
fn equals(store: &Store, oracle: &Oracle, viewer: Id, now_ms: i64) -> usize {
    let found = suggest::find(store, viewer, now_ms).unwrap();
    let found: Vec<(Id, usize, Vec<Id>)> =
        found.iter().map(|user| (user.id, user.mutual_count as usize, user.mutuals().to_vec())).collect();
    let expected: Vec<(Id, usize, Vec<Id>)> = oracle
        .suggested(viewer, now_ms)
        .into_iter()
        .take(suggest::SUGGESTED_MAX)
        .map(|(id, reason)| (id, reason.len(), reason.into_iter().take(3).collect()))
        .collect();
    assert_eq!(found, expected, "suggested to {viewer:?}");
    found.len()
}

#[test]
fn suggestions_of_random_graphs_are_friends_of_friends_by_mutual_count() {
    let mut dice = Dice::of_run();
    let mut suggested = 0;
    for _ in 0..times("EDGEFEED_GRAPHS", 25) {
        let town = Town::random(&mut dice);
        let dir = tempfile::tempdir().unwrap();
        let store = compare::open(&dir.path().join("store"), IdKind::U64);
        let mut oracle = Oracle::new(IdKind::U64, 0);
        apply(&store, &town.log, NOW);
        fold(&mut oracle, &town.log, NOW);
        let stays = (1..=40).map(Id).filter(|user| !oracle.has_left(*user));
        suggested += stays.map(|user| equals(&store, &oracle, user, NOW)).sum::<usize>();
    }
    assert!(suggested > 100, "there was something to suggest");
}

#[test]
fn suggestions_of_a_heavy_tailed_world_are_friends_of_friends_by_mutual_count() {
    for ids in [IdKind::Uuid, IdKind::U64] {
        let world = World::new(WorldConfig::small(31, ids));
        let log = crate::log::history(&world, &Encoding::new(ids));
        let dir = tempfile::tempdir().unwrap();
        let store = compare::open(&dir.path().join("store"), ids);
        let now_ms = world.config().now_ms;
        let mut oracle = Oracle::new(ids, 0);
        apply(&store, &log, now_ms);
        fold(&mut oracle, &log, now_ms);
        let found: usize = viewers(&world, 40).into_iter().map(|user| equals(&store, &oracle, user, now_ms)).sum();
        assert!(found > 100);
    }
}

/// One who follows more users than are asked, who each follow more than are counted.
#[test]
fn a_reader_who_follows_more_than_the_caps_costs_no_more_and_gets_what_the_caps_leave() {
    let mut dice = Dice::of_run();
    let mut town = Town::default();
    for friend in 2..=260 {
        town.follow(1, friend, true);
        (0..dice.below(3)).for_each(|_| town.view(1, friend));
        let from = 1_000 + dice.below(300) as u64;
        let many = if friend % 5 == 0 { 620 } else { 40 };
        (from..from + many).for_each(|other| town.follow(friend, other, true));
    }
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    let mut oracle = Oracle::new(IdKind::U64, 0);
    apply(&store, &town.log, NOW);
    fold(&mut oracle, &town.log, NOW);
    assert_eq!(equals(&store, &oracle, Id(1), NOW), suggest::SUGGESTED_MAX);
}

/// A node's suggestions for user 1 of a little town.
struct Node {
    store: Arc<Store>,
    suggestions: Arc<Suggestions>,
    town: Town,
    applied: usize,
    _dir: tempfile::TempDir,
}

impl Node {
    fn new(town: Town) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = compare::open(&dir.path().join("store"), IdKind::U64);
        let suggestions = Suggestions::new(Arc::clone(&store), Arc::new(Lag::default()));
        let mut node = Self { store, suggestions, town, applied: 0, _dir: dir };
        node.catch_up();
        node
    }

    fn catch_up(&mut self) {
        apply(&self.store, &self.town.log[self.applied..], NOW);
        self.applied = self.town.log.len();
    }

    async fn ask(&self, now_ms: i64) -> SuggestedUsers {
        let request = SuggestedRequest { viewer: Id(1), limit: 50 };
        Arc::clone(&self.suggestions).page(request, now_ms).await.unwrap()
    }

    async fn ids(&self, now_ms: i64) -> Vec<u128> {
        self.ask(now_ms).await.users.iter().map(|user| user.id.1.0).collect()
    }
}

fn three_friends() -> Town {
    let mut town = Town::default();
    for (one, other) in [(1, 2), (1, 3), (2, 7), (3, 7), (3, 8), (2, 9)] {
        town.follow(one, other, true);
    }
    town
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_a_reader_does_not_outlive_their_own_follow_or_block() {
    let mut node = Node::new(three_friends());
    assert_eq!(node.ids(NOW).await, [7, 9, 8], "by mutual count, then by id");
    let first = node.ask(NOW + 5).await.as_of;
    assert_eq!(first, NOW, "kept");
    node.town.view(1, 2);
    node.catch_up();
    assert_eq!(node.ask(NOW + 10).await.as_of, NOW, "what does not concern it changes nothing");
    node.town.follow(1, 7, true);
    node.catch_up();
    assert_eq!(node.ids(NOW + 20).await, [9, 8], "followed now");
    node.town.block(9, 1, true);
    node.catch_up();
    assert_eq!(node.ids(NOW + 30).await, [8], "blocked by");
    node.town.block(9, 1, false);
    node.town.follow(1, 7, false);
    node.catch_up();
    assert_eq!(node.ids(NOW + 40).await, [7, 9, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_grows_no_older_than_a_minute_and_the_job_renews_it_for_who_came_lately() {
    let mut node = Node::new(three_friends());
    assert_eq!(node.ids(NOW).await, [7, 9, 8]);
    node.town.follow(2, 8, true);
    node.catch_up();
    assert_eq!(node.ids(NOW + 60_000).await, [7, 9, 8], "others' follows: within a minute");
    assert_eq!(node.ids(NOW + 60_001).await, [8, 7, 9]);
    node.town.follow(3, 9, true);
    node.catch_up();
    assert_eq!(node.suggestions.renew(NOW + 60_002).unwrap(), 0, "young enough");
    assert_eq!(node.suggestions.renew(NOW + 95_000).unwrap(), 1);
    let answer = node.ask(NOW + 95_001).await;
    assert_eq!((answer.as_of, answer.users[0].id.1), (NOW + 95_000, Id(9)), "found by the job, not by the request");
    assert_eq!(answer.users[0].reason.mutual_count, 2);
    assert_eq!(node.suggestions.renew(NOW + 12 * 60_000).unwrap(), 0, "nobody asks any more");
}

/// Many at once, for readers of whom nothing is kept: all are answered, in bounded time.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_asks_at_once_is_answered() {
    let mut dice = Dice::new(5);
    let node = Node::new(Town::random(&mut dice));
    let begun = Instant::now();
    let asking: Vec<_> = (0..400_u128)
        .map(|number| {
            let request = SuggestedRequest { viewer: Id(1 + number % 40), limit: 5 };
            tokio::spawn(Arc::clone(&node.suggestions).page(request, NOW))
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap().unwrap().users.len() <= 5);
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}
