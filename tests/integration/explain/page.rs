//! What is explained of a post is what its page says of it, bit for bit.

use std::collections::{BTreeMap, BTreeSet};

use edgefeed::cursor::CHAIN_MAX;
use edgefeed::feed::{ExplainRequest, FeedPage, FeedRequest, PagePost, Stage};
use edgefeed::ranking::Preset;
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind};

use crate::compare;
use crate::formula::{apply, viewers};
use crate::log::history;

fn whole(viewer: Id, preset: Preset) -> FeedRequest {
    FeedRequest { limit: usize::MAX, explain: true, preset, ..FeedRequest::of(viewer) }
}

/// Ranks follow the scores and places are the page's, whatever spacing makes of them.
fn ranks_and_places_are_told(page: &FeedPage) -> usize {
    let mut by_rank: BTreeMap<usize, &PagePost> = BTreeMap::new();
    let mut moved = 0;
    for (place, post) in page.posts.iter().enumerate() {
        let told = post.explain.unwrap();
        assert_eq!(told.place, Some(place + 1));
        moved += usize::from(told.rank != told.place);
        assert!(by_rank.insert(told.rank.unwrap(), post).is_none(), "two posts of one rank");
    }
    if page.posts.len() < CHAIN_MAX {
        assert_eq!(by_rank.keys().copied().collect::<Vec<_>>(), (1..=page.posts.len()).collect::<Vec<_>>());
    }
    let scores: Vec<f64> = by_rank.values().map(|post| post.score).collect();
    assert!(scores.is_sorted_by(|better, worse| better >= worse), "ranks follow the scores");
    moved
}

/// The formula of the contract over the raw features, by the default numbers.
fn features_make_the_score(post: &PagePost) {
    let told = post.explain.unwrap();
    let raw = told.features.expect("a page made now knows what it is made of");
    let interactions = f64::from(raw.likes) + 2.0 * f64::from(raw.comments) + 3.0 * f64::from(raw.shares);
    let (freshness, engagement) =
        ((-0.1 * raw.age_hours).exp(), (1.0 + interactions / f64::from(raw.impressions.max(1))).ln());
    let affinity = (1.0 + raw.interactions as f64).ln();
    assert_eq!((told.freshness, told.engagement, told.affinity), (freshness, engagement, affinity));
    assert_eq!(post.score, 0.30 * freshness + 0.40 * engagement + 0.30 * affinity);
}

fn explanations_are_the_page(config: WorldConfig) {
    let (ids, now_ms) = (config.ids, config.now_ms);
    let world = World::new(config);
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), ids);
    apply(&store, &history(&world, &Encoding::new(ids)), now_ms);
    store.warm(now_ms).unwrap();
    let feed = compare::feed_over(&store);
    let (mut explained, mut moved) = (0, 0);
    for viewer in viewers(&world, 12) {
        for preset in Preset::ALL {
            let page = feed.page(&whole(viewer, preset), now_ms).unwrap();
            moved += ranks_and_places_are_told(&page);
            for post in page.posts.iter().step_by(11) {
                if preset == Preset::Balanced {
                    features_make_the_score(post);
                }
                let told = feed.explain(&ExplainRequest { viewer, post: post.id.1, preset }, now_ms).unwrap();
                assert_eq!((told.stage, told.reason.as_deref()), (Stage::Ranked, None));
                assert_eq!(told.score.map(f64::to_bits), Some(post.score.to_bits()));
                assert_eq!(told.explain, post.explain, "terms, weights, features, rank and place");
                assert_eq!((told.post_id, told.author_id), (post.id, Some(post.author_id)));
                assert_eq!(told.created_at, Some(post.created_at.to_string()));
                // A chain shows no more than a thousand posts, and a page no more than its chain.
                assert!(told.ranked_posts == page.posts.len() || page.posts.len() == CHAIN_MAX);
                assert_eq!(told.freshness.weights_version, page.freshness.weights_version);
                let sources = told.sources.unwrap();
                let of =
                    [("followed", &sources.followed), ("trending", &sources.trending), ("affinity", &sources.affinity)];
                let has: BTreeSet<_> = of.iter().filter(|(_, of)| of.candidate).map(|(name, _)| *name).collect();
                assert_eq!(has, post.sources.iter().copied().collect::<BTreeSet<_>>());
                assert!(of.iter().all(|(_, of)| of.candidate == (of.reason.is_none() && of.position.is_some())));
                explained += 1;
            }
        }
    }
    assert!(explained > 200 && moved > 200, "{explained} explained, {moved} moved by spacing");
}

#[test]
fn what_is_explained_is_the_page_bit_for_bit_with_uuids() {
    explanations_are_the_page(WorldConfig::small(41, IdKind::Uuid));
}

#[test]
fn what_is_explained_is_the_page_bit_for_bit_where_every_cap_is_reached() {
    let mut config = WorldConfig::small(42, IdKind::U64);
    (config.users, config.posts, config.follows_mean, config.events) = (600, 12_000, 120, 60_000);
    explanations_are_the_page(config);
}

/// What each preset promises of a whole ranking.
#[test]
fn presets_do_what_their_names_say() {
    let config = WorldConfig::small(43, IdKind::U64);
    let now_ms = config.now_ms;
    let world = World::new(config);
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    apply(&store, &history(&world, &Encoding::new(IdKind::U64)), now_ms);
    store.warm(now_ms).unwrap();
    let feed = compare::feed_over(&store);
    let (mut young, mut old) = (Vec::new(), Vec::new());
    for viewer in viewers(&world, 20) {
        let of = |preset| feed.page(&whole(viewer, preset), now_ms).unwrap().posts;
        assert!(
            of(Preset::Friends).iter().all(|post| post.sources != ["trending"]),
            "friends: nothing for being popular"
        );
        let ages = |posts: &[PagePost]| -> Vec<f64> {
            posts.iter().take(10).map(|post| post.explain.unwrap().features.unwrap().age_hours).collect()
        };
        young.extend(ages(&of(Preset::Latest)));
        old.extend(ages(&of(Preset::CatchUp)));
        let quiet = of(Preset::QuietVoices);
        let mut of_author: BTreeMap<Id, Vec<usize>> = BTreeMap::new();
        for (place, post) in quiet.iter().enumerate() {
            if post.sources != ["trending"] {
                of_author.entry(post.author_id.1).or_default().push(place);
            }
        }
        for places in of_author.values() {
            // The newest two, whichever of the two sources that look at authors they come from.
            assert!(places.len() <= 2, "quiet_voices: {places:?}");
        }
        let authors: BTreeSet<Id> = quiet.iter().map(|post| post.author_id.1).collect();
        let first: BTreeSet<Id> = quiet.iter().take(20).map(|post| post.author_id.1).collect();
        assert_eq!(first.len(), authors.len().min(quiet.len()).min(20), "nobody twice while there is anybody else");
    }
    let median = |mut ages: Vec<f64>| {
        ages.sort_unstable_by(f64::total_cmp);
        ages[ages.len() / 2]
    };
    let (young, old) = (median(young), median(old));
    assert!(young * 1.5 < old, "latest {young} h, catch_up {old} h");
}
