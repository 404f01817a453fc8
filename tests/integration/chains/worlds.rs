//! Random worlds of one reader each: authors are kept apart, and a page is short only when the world is.

use std::collections::{BTreeMap, BTreeSet};

use edgefeed::cache;
use edgefeed::feed::{FeedPage, FeedRequest};
use edgefeed::ranking;
use edgefeed::world::What;
use edgefeed_storage::model::{Action, HOUR_MS, Id};

use super::stage::{NOW, Stage, block, delete, event, follow, ids, like, post};
use crate::crash::dice::{Dice, times};
use crate::oracle;

/// Worlds in one store: none of them knows of the others.
const TOGETHER: usize = 250;

/// One reader and what they may see.
struct World {
    reader: Id,
    /// Posts that may be shown, with their authors.
    allowed: BTreeMap<Id, Id>,
    facts: Vec<What>,
}

/// Few authors or many, few posts or many; every tenth reader has seen 500 posts and more.
fn world(number: usize, dice: &mut Dice) -> World {
    let id = |n: usize| Id((number * 100_000 + n) as u128);
    let reader = id(1);
    let authors = match dice.below(4) {
        0 => 1 + dice.below(3),
        1 => 1 + dice.below(10),
        _ => 1 + dice.below(60),
    };
    let seen_much = dice.below(10) == 0;
    let posts = if seen_much { 520 + dice.below(120) } else { dice.below(160) };
    let mut world = World { reader, allowed: BTreeMap::new(), facts: Vec::new() };
    let author = |n: usize| id(10 + n);
    for n in 0..authors {
        world.facts.push(follow(reader, author(n)));
    }
    for n in 0..posts {
        // Some times are the same, and nobody writes as much as the first few.
        let by = author(dice.below(authors).min(dice.below(authors)));
        let (post_id, created_at) = (id(1_000 + n), NOW - dice.below(60 * 60) as i64 * 60_000);
        world.facts.push(post(post_id, by, created_at));
        world.allowed.insert(post_id, by);
        for _ in 0..dice.below(3) {
            world.facts.push(event(Action::Like, id(2), post_id, by, NOW - HOUR_MS));
        }
        if dice.below(20) == 0 {
            world.facts.push(like(reader, post_id));
        }
    }
    leave_out(&mut world, seen_much, dice);
    world
}

/// Views, hides, deletes and blocks.
fn leave_out(world: &mut World, seen_much: bool, dice: &mut Dice) {
    let (reader, all): (Id, Vec<(Id, Id)>) = (world.reader, world.allowed.clone().into_iter().collect());
    for (n, (post, by)) in all.iter().enumerate() {
        let gone = match dice.below(100) {
            _ if seen_much && n < 500 => event(Action::View, reader, *post, *by, NOW - 23 * HOUR_MS),
            0..5 => event(Action::View, reader, *post, *by, NOW - HOUR_MS),
            5..8 => event(Action::Hide, reader, *post, *by, NOW - 30 * 24 * HOUR_MS),
            8..10 => delete(*post, *by),
            // Long ago: it may be shown again.
            10..14 => {
                world.facts.push(event(Action::View, reader, *post, *by, NOW - 25 * HOUR_MS));
                continue;
            }
            _ => continue,
        };
        world.facts.push(gone);
        world.allowed.remove(post);
    }
    let authors: BTreeSet<Id> = all.iter().map(|(_, by)| *by).collect();
    for author in authors {
        if dice.below(25) == 0 {
            world.facts.push(if dice.below(2) == 0 { block(reader, author) } else { block(author, reader) });
            world.allowed.retain(|_, by| *by != author);
        }
    }
}

/// Pages of any size, one after another, are the order by score with authors kept apart, whole.
async fn holds(stage: &Stage, world: &World, dice: &mut Dice) {
    let viewer = world.reader;
    let limit = |dice: &mut Dice| dice.between(1, 100);
    let mut pages = vec![stage.page(FeedRequest { limit: limit(dice), ..FeedRequest::of(viewer) }).await.unwrap()];
    let mut limits = vec![pages[0].posts.len()];
    while pages.last().unwrap().has_more {
        let asked = limit(dice);
        let page = stage.next(pages.last().unwrap(), viewer, asked).await;
        assert!(page.posts.len() == asked || !page.has_more, "a page is short only when the world is");
        assert_eq!((page.served_from.name(), page.ranked_at), ("cache", NOW));
        limits.push(page.posts.len());
        pages.push(page);
    }
    let shown: Vec<Id> = pages.iter().flat_map(ids).collect();
    let expected: BTreeSet<Id> = world.allowed.keys().copied().collect();
    assert_eq!(shown.len(), expected.len(), "each post once");
    assert_eq!(shown.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(shown, by_the_rule(&pages), "reader {viewer:?}, pages of {limits:?}");
}

/// All posts of these pages in the order the contract gives them.
fn by_the_rule(pages: &[FeedPage]) -> Vec<Id> {
    let mut posts: Vec<_> = pages.iter().flat_map(|page| &page.posts).collect();
    posts.sort_by(|left, right| {
        let ties = (right.created_at.0, right.id.1).cmp(&(left.created_at.0, left.id.1));
        right.score.total_cmp(&left.score).then(ties)
    });
    let authors: Vec<Id> = posts.iter().map(|post| post.author_id.1).collect();
    oracle::spaced(&authors).into_iter().map(|rank| posts[rank].id.1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn authors_are_kept_apart_and_no_page_is_short_in_any_world() {
    let worlds = times("EDGEFEED_WORLDS", 500);
    // Worlds would meet in what is trending.
    let ranking = ranking::Config { trending_max: 0, ..ranking::Config::default() };
    let mut dice = Dice::of_run();
    for first in (0..worlds).step_by(TOGETHER) {
        let stage = Stage::new(&cache::Config::default(), &ranking);
        for number in first..worlds.min(first + TOGETHER) {
            let world = world(number + 1, &mut dice);
            world.facts.chunks(500).for_each(|facts| stage.apply(facts.iter().copied()));
            holds(&stage, &world, &mut dice).await;
        }
    }
    println!("{worlds} worlds");
}
