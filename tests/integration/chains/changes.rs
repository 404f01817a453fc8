//! What changes is seen at the next request: on first pages, and on the later ones of a pinned ranking.

use std::collections::BTreeSet;

use edgefeed::cache;
use edgefeed::feed::{Algo, FeedPage, FeedRequest};
use edgefeed::ranking::{self, Preset};
use edgefeed::world::What;
use edgefeed_storage::model::{Action, HOUR_MS, Id};

use super::stage::{NOW, Stage, all_ids, block, delete, event, follow, ids, like, post, unfollow};

/// What a change does to the posts there are.
type Effect = Box<dyn Fn(&mut BTreeSet<Id>)>;

const READER: Id = Id(1);
const OTHER: Id = Id(2);

fn author(n: u128) -> Id {
    Id(10 + n)
}

fn a_post(n: u128) -> Id {
    Id(1_000 + n)
}

/// Two readers who follow six authors of sixty posts, a minute apart.
fn stage(cache: &cache::Config) -> Stage {
    let stage = Stage::new(cache, &ranking::Config::default());
    for reader in [READER, OTHER] {
        stage.apply((0..6).map(|n| follow(reader, author(n))));
    }
    stage.apply((0..60).map(|n| post(a_post(n), author(n % 6), NOW - 60_000 * (60 - n as i64))));
    stage
}

fn default() -> Stage {
    stage(&cache::Config::default())
}

async fn first(stage: &Stage, limit: usize) -> FeedPage {
    stage.page(FeedRequest { limit, ..FeedRequest::of(READER) }).await.unwrap()
}

async fn everything(stage: &Stage) -> BTreeSet<Id> {
    ids(&first(stage, 100).await).into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_page_shows_every_change_of_the_reader_and_of_whom_they_follow_at_once() {
    let stage = default();
    let mut expected = everything(&stage).await;
    assert_eq!(expected.len(), 60);
    let news = author(99);
    let without = |n: u128| move |all: &mut BTreeSet<Id>| all.retain(|id| (id.0 - 1_000) % 6 != n);
    let add = |id: Id| move |all: &mut BTreeSet<Id>| all.extend([id]);
    let take = |id: Id| move |all: &mut BTreeSet<Id>| all.retain(|other| *other != id);
    let changes: [(&str, What, Effect); 7] = [
        ("a new post", post(a_post(60), author(0), NOW - 1), Box::new(add(a_post(60)))),
        ("a deleted post", delete(a_post(60), author(0)), Box::new(take(a_post(60)))),
        ("a hide", event(Action::Hide, READER, a_post(7), author(1), NOW), Box::new(take(a_post(7)))),
        ("an unfollow", unfollow(READER, author(2)), Box::new(without(2))),
        ("a block", block(READER, author(3)), Box::new(without(3))),
        ("a block from the other side", block(author(4), READER), Box::new(without(4))),
        ("a follow", follow(READER, news), Box::new(add(a_post(70)))),
    ];
    stage.apply([post(a_post(70), news, NOW - HOUR_MS)]);
    for (what, change, effect) in changes {
        stage.apply([change]);
        effect(&mut expected);
        assert_eq!(everything(&stage).await, expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_page_keeps_its_order_and_drops_at_once_what_may_no_longer_be_shown() {
    let stage = default();
    let order = ids(&first(&stage, 100).await);
    let page = first(&stage, 10).await;
    assert_eq!(ids(&page), order[..10]);
    let rest = &order[10..];
    let by = |id: Id| author((id.0 - 1_000) % 6);
    let blocked = by(rest[4]);
    stage.apply([
        event(Action::Hide, READER, rest[0], by(rest[0]), NOW),
        event(Action::View, READER, rest[1], by(rest[1]), NOW),
        delete(rest[2], by(rest[2])),
        block(blocked, READER),
        // What would change a ranking changes nothing here.
        event(Action::Share, OTHER, rest[30], by(rest[30]), NOW),
        post(a_post(60), author(0), NOW),
        like(READER, rest[5]),
        like(OTHER, rest[5]),
    ]);
    let gone = |id: &Id| rest[..3].contains(id) || by(*id) == blocked;
    let expected: Vec<Id> = rest.iter().copied().filter(|id| !gone(id)).collect();
    let mut shown = Vec::new();
    let mut next = page;
    while next.has_more {
        next = stage.next(&next, READER, 7).await;
        assert_eq!((next.served_from.name(), next.ranked_at), ("cache", NOW));
        assert!(next.degraded.is_empty(), "{:?}", next.degraded);
        shown.push(next.clone());
    }
    assert_eq!(all_ids(&shown), expected);
    assert!(shown[..shown.len() - 1].iter().all(|page| page.posts.len() == 7), "pages are filled from the pin");
    let liked = shown.iter().flat_map(|page| &page.posts).find(|post| post.id.1 == rest[5]).unwrap();
    assert_eq!((liked.like_count, liked.viewer_liked), (2, true), "counts are of now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_page_has_the_scores_terms_and_weights_of_its_ranking() {
    let stage = default();
    let request = FeedRequest { limit: 60, explain: true, preset: Preset::Latest, ..FeedRequest::of(READER) };
    let whole = stage.page(request.clone()).await.unwrap();
    let page = stage.page(FeedRequest { limit: 5, ..request }).await.unwrap();
    stage.pass(5 * 60_000);
    stage.apply([event(Action::Like, OTHER, a_post(1), author(1), NOW)]);
    // Neither the order nor the preset need be said again.
    let cursor = page.cursor.clone();
    let asked = FeedRequest { limit: 55, explain: true, algo: Algo::Time, cursor, ..FeedRequest::of(READER) };
    let next = stage.page(asked).await.unwrap();
    assert_eq!(next.freshness.weights_version, whole.freshness.weights_version);
    assert_eq!(next.ranked_at, NOW);
    for (post, pinned) in whole.posts[5..].iter().zip(&next.posts) {
        let terms = |post: &edgefeed::feed::PagePost| {
            let terms = post.explain.unwrap();
            [post.score, terms.freshness, terms.engagement, terms.affinity, terms.weights.freshness]
        };
        assert_eq!((pinned.id, terms(pinned), &pinned.sources), (post.id, terms(post), &post.sources));
    }
    assert_eq!(next.posts.len(), 55);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_pin_is_gone_goes_on_without_a_repeat_and_says_so() {
    for cache in [
        // Never kept, kept too briefly, pushed out by the reader's own.
        cache::Config { pins_bytes: 0, ..cache::Config::default() },
        cache::Config { pin_ttl_s: 60, ..cache::Config::default() },
        cache::Config { pins_per_reader: 1, ..cache::Config::default() },
    ] {
        let stage = stage(&cache);
        let page = first(&stage, 20).await;
        if cache.pins_bytes > 0 {
            assert_eq!(stage.next(&page, READER, 20).await.served_from.name(), "cache");
            stage.pass(60_000);
            first(&stage, 20).await;
        }
        let next = stage.next(&page, READER, 20).await;
        assert_eq!((next.served_from.name(), &next.degraded), ("local", &vec!["pin_lost"]));
        assert_eq!(next.ranked_at, stage.now());
        let last = stage.next(&next, READER, 100).await;
        assert_eq!(last.served_from.name(), if cache.pins_bytes > 0 { "cache" } else { "local" }, "pinned anew");
        let shown = all_ids(&[page, next, last]);
        assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len());
        assert!(shown.len() >= 59, "next to no gap: {}", shown.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_drops_their_pinned_pages_drops_nobody_elses() {
    let stage = default();
    let mine = first(&stage, 10).await;
    let other = stage.page(FeedRequest { limit: 10, ..FeedRequest::of(OTHER) }).await.unwrap();
    assert_eq!(stage.answers.forget(READER, NOW), 1);
    assert_eq!(stage.answers.forget(READER, NOW), 0);
    assert_eq!(stage.next(&mine, READER, 10).await.degraded, ["pin_lost"]);
    assert_eq!(stage.next(&other, OTHER, 10).await.served_from.name(), "cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_readers_changes_evict_nobody_elses_pages() {
    let stage = default();
    let other = stage.page(FeedRequest { limit: 10, ..FeedRequest::of(OTHER) }).await.unwrap();
    for n in 0..200 {
        stage.apply([event(Action::Hide, READER, a_post(n % 60), author(n % 6), NOW), follow(READER, Id(5_000 + n))]);
        first(&stage, 10).await;
    }
    assert_eq!(stage.next(&other, OTHER, 10).await.served_from.name(), "cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_by_time_is_paged_to_its_end_and_new_posts_move_nothing() {
    let stage = default();
    let request = FeedRequest { limit: 13, algo: Algo::Time, ..FeedRequest::of(READER) };
    let mut pages = vec![stage.page(request).await.unwrap()];
    while pages.last().unwrap().has_more {
        stage.apply([post(Id(2_000 + pages.len() as u128), author(0), NOW)]);
        pages.push(stage.next(pages.last().unwrap(), READER, 13).await);
        assert_eq!(pages.last().unwrap().served_from.name(), "local");
        assert!(pages.last().unwrap().degraded.is_empty());
    }
    assert_eq!(all_ids(&pages), (0..60).rev().map(a_post).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_ends_after_a_thousand_posts_and_its_cursors_stay_short() {
    let ranking = ranking::Config { followed_max: 5_000, ..ranking::Config::default() };
    let stage = Stage::new(&cache::Config::default(), &ranking);
    stage.apply((0..50).map(|n| follow(READER, author(n))));
    stage.apply((0..1_200).map(|n| post(a_post(n), author(n % 50), NOW - 1_000 * n as i64)));
    let pages = stage.chain(FeedRequest { limit: 100, ..FeedRequest::of(READER) }).await;
    let shown = all_ids(&pages);
    assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len());
    // Two posts that hash alike count as one.
    assert!((1_000..1_010).contains(&shown.len()), "{}", shown.len());
    assert!(pages.iter().filter_map(|page| page.cursor.as_ref()).all(|cursor| cursor.len() < 2_048));
}
