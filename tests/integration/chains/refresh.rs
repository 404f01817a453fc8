//! `refresh=1`: nothing again while there is anything else; and a feed without it knows nothing of that.

use std::collections::BTreeSet;

use edgefeed::cache;
use edgefeed::feed::{FeedPage, FeedRequest};
use edgefeed::ranking;
use edgefeed_storage::model::{Action, HOUR_MS, Id};

use super::stage::{NOW, Stage, all_ids, event, follow, ids, post};
use crate::crash::dice::{Dice, times};

const READER: Id = Id(1);

fn stage() -> Stage {
    Stage::new(&cache::Config::default(), &ranking::Config::default())
}

fn refreshed(limit: usize) -> FeedRequest {
    FeedRequest { refresh: true, explain: true, limit, ..FeedRequest::of(READER) }
}

/// A reader who follows authors that wrote posts, of which some were liked.
fn people(stage: &Stage, authors: usize, posts: usize, dice: &mut Dice) {
    let author = |n: usize| Id(10 + n as u128);
    stage.apply((0..authors).map(|n| follow(READER, author(n))));
    for n in 0..posts {
        let (id, by) = (Id(1_000 + n as u128), author(dice.below(authors)));
        let liked = (0..dice.below(3)).map(|_| event(Action::Like, Id(2), id, by, NOW - HOUR_MS));
        stage.apply([post(id, by, NOW - dice.below(3_000) as i64 * 60_000)].into_iter().chain(liked));
    }
}

fn served(page: &FeedPage) -> BTreeSet<Id> {
    let served = page.posts.iter().filter(|post| post.explain.is_some_and(|terms| terms.served));
    served.map(|post| post.id.1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_refreshes_repeat_nothing_while_there_is_anything_else() {
    let mut dice = Dice::of_run();
    for _ in 0..times("EDGEFEED_REFRESHED", 20) {
        let stage = stage();
        let (authors, posts, limit) = (dice.between(1, 30), dice.between(1, 120), dice.between(1, 40));
        people(&stage, authors, posts, &mut dice);
        let mut seen: BTreeSet<Id> = ids(&stage.page(refreshed(limit)).await.unwrap()).into_iter().collect();
        for _ in 0..3 {
            stage.pass(60_000);
            let page = stage.page(refreshed(limit)).await.unwrap();
            let shown = ids(&page);
            assert_eq!(shown.len(), limit.min(posts), "never short");
            let fresh = shown.iter().take_while(|id| !seen.contains(id)).count();
            assert_eq!(fresh, limit.min(posts - seen.len()), "everything else stands first");
            let again: BTreeSet<Id> = shown[fresh..].iter().copied().collect();
            assert!(again.is_subset(&seen), "nothing new stands behind what was served");
            assert_eq!(served(&page), again, "and is explained as such");
            seen.extend(shown);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_the_same_and_without_refresh_so_is_the_order() {
    let stage = stage();
    people(&stage, 12, 60, &mut Dice::of_run());
    let pure = stage.feed.page(&FeedRequest { limit: 60, ..FeedRequest::of(READER) }, NOW).unwrap();
    let score = |id: Id| pure.posts.iter().find(|post| post.id.1 == id).unwrap().score;
    let first = stage.page(refreshed(20)).await.unwrap();
    let second = stage.page(refreshed(60)).await.unwrap();
    assert_eq!(served(&second).into_iter().collect::<Vec<_>>(), {
        let mut first = ids(&first);
        first.sort_unstable();
        first
    });
    assert!(second.posts.iter().all(|post| post.score == score(post.id.1)), "bit for bit");
    let plain = stage.page(FeedRequest { limit: 60, ..FeedRequest::of(READER) }).await.unwrap();
    assert_eq!(ids(&plain), ids(&pure));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_counts_as_served_for_half_an_hour_and_only_to_its_reader() {
    let stage = stage();
    people(&stage, 12, 60, &mut Dice::of_run());
    stage.apply((10..22).map(|author| follow(Id(3), Id(author))));
    let first = stage.page(FeedRequest { limit: 10, ..FeedRequest::of(READER) }).await.unwrap();
    let second = stage.next(&first, READER, 10).await;
    let newest = FeedRequest { limit: 10, algo: edgefeed::feed::Algo::Time, ..FeedRequest::of(READER) };
    let newest = stage.page(newest).await.unwrap();
    let all: BTreeSet<Id> = all_ids(&[first, second, newest]).into_iter().collect();
    assert_eq!(served(&stage.page(refreshed(60)).await.unwrap()), all);
    let other = FeedRequest { viewer: Id(3), ..refreshed(60) };
    assert!(served(&stage.page(other).await.unwrap()).is_empty());
    stage.pass(30 * 60_000);
    assert!(served(&stage.page(refreshed(60)).await.unwrap()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_feed_is_paged_like_any_other_with_what_was_served_at_its_end() {
    let stage = stage();
    people(&stage, 9, 75, &mut Dice::of_run());
    let before: BTreeSet<Id> = ids(&stage.page(refreshed(30)).await.unwrap()).into_iter().collect();
    let pages = stage.chain(refreshed(10)).await;
    let chain = all_ids(&pages);
    assert_eq!(chain.iter().collect::<BTreeSet<_>>().len(), 75);
    assert!(chain[..45].iter().all(|id| !before.contains(id)), "the pages in between are not taken for served");
    assert!(chain[45..].iter().all(|id| before.contains(id)));
}
