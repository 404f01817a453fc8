//! Holds a store against the oracle: every fact, and every feed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edgefeed::feed::{Algo, Feed, FeedRequest};
use edgefeed::trending::TrendingPosts;
use edgefeed::tuning::Tuning;
use edgefeed_storage::key::Family;
use edgefeed_storage::model::{Counters, HOUR_MS, Id, TimestampMs, hour_of};
use edgefeed_storage::retention::POST_HOURS_KEPT;
use edgefeed_storage::{Config, OpenOptions, Store};
use edgefeed_sync::Lag;

use crate::oracle::{Oracle, OracleAlgo, OraclePost};

pub(crate) fn open(dir: &std::path::Path, ids: edgefeed_storage::model::IdKind) -> Arc<Store> {
    let config = Config { dir: dir.to_owned(), memory_budget_bytes: 128 << 20, ..Config::default() };
    Arc::new(Store::open(&config, OpenOptions { ids, apply_truncates: false }).unwrap())
}

pub(crate) fn feed_over(store: &Arc<Store>) -> Feed {
    Feed::new(
        Arc::clone(store),
        Arc::new(TrendingPosts::default()),
        Arc::new(Lag::default()),
        Arc::new(Tuning::default()),
    )
}

/// Every fact the store holds equals the oracle's fold of the log.
pub(crate) fn facts(store: &Store, oracle: &Oracle, now_ms: TimestampMs) {
    // Hours that no window reaches any more are the store's to drop.
    let oldest = hour_of(now_ms) - POST_HOURS_KEPT + 1;
    let counted = |hours: BTreeMap<(Id, u32), Counters>| -> BTreeMap<(Id, u32), Counters> {
        hours.into_iter().filter(|((_, hour), sum)| *hour >= oldest && *sum != Counters::default()).collect()
    };
    let mut hours = BTreeMap::new();
    store
        .each_post_hour(|post, hour, sum| {
            hours.insert((post, hour), sum);
        })
        .unwrap();
    assert_maps("hourly counters", &counted(hours), &counted(oracle.hours().clone()));

    let mut days = BTreeMap::new();
    store
        .each_partial(|user, author, arrival, day, sum| {
            days.insert((user, author, arrival, day), sum.counters);
        })
        .unwrap();
    let expected: BTreeMap<_, _> =
        oracle.days().iter().filter(|(_, sum)| **sum != Counters::default()).map(|(key, sum)| (*key, *sum)).collect();
    assert_maps("daily partials", &days, &expected);

    for (family, expected) in
        [(Family::Follows, oracle.follows()), (Family::Blocks, oracle.blocks()), (Family::Likes, oracle.likes())]
    {
        let mut links = BTreeSet::new();
        store
            .each_link(family, |first, second, row| {
                if row.removed.is_none() {
                    links.insert((first, second));
                }
            })
            .unwrap();
        assert_eq!(&links, expected, "live rows of {}", family.name());
    }
    for (family, expected) in [(Family::Followers, oracle.follows()), (Family::BlockedBy, oracle.blocks())] {
        let mut index = BTreeSet::new();
        store
            .each_index(family, |first, second| {
                index.insert((second, first));
            })
            .unwrap();
        assert_eq!(&index, expected, "index {}", family.name());
    }
    let mut hidden = BTreeSet::new();
    store
        .each_seen(Family::Hides, |user, post, _| {
            hidden.insert((user, post));
        })
        .unwrap();
    assert_eq!(&hidden, oracle.hidden(), "hidden posts");
    let mut viewed = BTreeMap::new();
    store
        .each_seen(Family::Viewed, |user, post, time| {
            viewed.insert((user, post), time);
        })
        .unwrap();
    viewed.retain(|_, time| *time >= now_ms - 24 * HOUR_MS);
    let expected: BTreeMap<_, _> = oracle
        .viewed()
        .iter()
        .filter(|(_, time)| **time >= now_ms - 24 * HOUR_MS)
        .map(|(key, time)| (*key, *time))
        .collect();
    assert_maps("views", &viewed, &expected);
}

fn assert_maps<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) {
    for (key, value) in expected {
        assert_eq!(found.get(key), Some(value), "{what} at {key:?}");
    }
    if let Some((key, value)) = found.iter().find(|(key, _)| !expected.contains_key(key)) {
        panic!("{what}: {key:?} holds {value:?}, the oracle knows nothing of it");
    }
}

/// A viewer's whole feed equals the oracle's: posts, order, scores, sources, counts.
pub(crate) fn feeds(
    store: &Arc<Store>,
    feed: &Feed,
    oracle: &Oracle,
    viewers: impl IntoIterator<Item = Id>,
    now_ms: TimestampMs,
) {
    for viewer in viewers {
        for (algo, expected) in [(Algo::Ranked, OracleAlgo::Ranked), (Algo::Time, OracleAlgo::Time)] {
            let expected = oracle.feed(viewer, now_ms, expected);
            let request = FeedRequest { limit: usize::MAX, algo, explain: true, ..FeedRequest::of(viewer) };
            let page = feed.page(&request, now_ms).unwrap();
            let kind = store.ids();
            let who = format!("feed {algo:?} of {}", kind.format(viewer));
            for (place, (post, expected)) in page.posts.iter().zip(&expected).enumerate() {
                let found = page.posts.iter().find(|post| post.id.1 == expected.id);
                assert!(found.is_some(), "{who}, place {place}: {expected:?} is not on the page");
                same(&format!("{who}, place {place}"), post, expected);
            }
            assert_eq!(page.posts.len(), expected.len(), "{who}: length");
        }
    }
}

fn same(place: &str, post: &edgefeed::feed::PagePost, expected: &OraclePost) {
    assert_eq!(post.id.1, expected.id, "{place}: post (score {} against {})", post.score, expected.score);
    assert_eq!(post.author_id.1, expected.author, "{place}: author");
    assert_eq!(post.created_at.to_string(), edgefeed::feed::rfc3339(expected.created_at), "{place}: time");
    let terms = post.explain.unwrap();
    let (found, wanted) = (
        [post.score, terms.freshness, terms.engagement, terms.affinity],
        [expected.score, expected.freshness, expected.engagement, expected.affinity],
    );
    assert_eq!(found, wanted, "{place}: score, freshness, engagement, affinity, bit for bit");
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(post.sources.to_vec()), sorted(expected.sources.clone()), "{place}: sources");
    assert_eq!(
        (post.like_count, post.comment_count, post.viewer_liked),
        (expected.like_count, expected.comment_count, expected.viewer_liked),
        "{place}: counts"
    );
}
