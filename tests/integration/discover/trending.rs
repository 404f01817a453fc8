//! Trending posts: the formula of each window, and chains of pages that show nothing twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use edgefeed::cursor::Keys;
use edgefeed::feed::FeedError;
use edgefeed::ranking::trending::Window;
use edgefeed::trending::{TrendingPage, TrendingPages, TrendingPosts, TrendingRequest};
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::Store;
use edgefeed_storage::model::{HOUR_MS, Id, IdKind};
use edgefeed_sync::Lag;
use secrecy::SecretString;

use crate::compare;
use crate::formula::{apply, fold, viewers};
use crate::oracle::{LogRecord, Oracle, OracleWindow};

const WINDOWS: [(Window, OracleWindow); 3] =
    [(Window::Hour, OracleWindow::Hour), (Window::Day, OracleWindow::Day), (Window::Week, OracleWindow::Week)];
/// How many posts of a window a node keeps.
const KEPT: usize = 5_000;

fn keys() -> Keys {
    Keys::new(&SecretString::from("thirty-two bytes that all nodes share"), &SecretString::default())
}

fn pages_over(store: &Arc<Store>) -> (TrendingPages, Arc<TrendingPosts>) {
    let posts = Arc::new(TrendingPosts::default());
    (TrendingPages::new(Arc::clone(store), Arc::clone(&posts), Arc::new(Lag::default()), keys()), posts)
}

fn windows_are_the_formula(store: &Store, oracle: &Oracle, now_ms: i64) {
    let posts = TrendingPosts::default();
    for (window, of_oracle) in WINDOWS {
        let (found, at) = posts.listed(store, window, now_ms);
        // Those dated ahead wait in the list for their time; no page shows them.
        let due = found.iter().filter(|post| post.created_at <= now_ms);
        let found: Vec<(Id, f64)> = due.map(|post| (post.id, post.score)).collect();
        let mut expected = oracle.trending(of_oracle, now_ms);
        assert!(expected.len() > 20, "{window:?} has something to order: {}", expected.len());
        expected.truncate(KEPT);
        assert_eq!((found, at), (expected, now_ms), "{window:?}: posts and scores, bit for bit");
    }
}

#[test]
fn the_posts_of_each_window_are_the_formula() {
    for (seed, ids) in [(41, IdKind::Uuid), (42, IdKind::U64)] {
        let world = World::new(WorldConfig::small(seed, ids));
        let log = crate::log::history(&world, &Encoding::new(ids));
        let now_ms = world.config().now_ms;
        let dir = tempfile::tempdir().unwrap();
        let store = compare::open(&dir.path().join("store"), ids);
        let mut oracle = Oracle::new(ids, 0);
        // The first half is read in as a whole, the second applied to what is in memory.
        let (first, second) = log.split_at(log.len() / 2);
        apply(&store, first, now_ms);
        fold(&mut oracle, first, now_ms);
        store.warm(now_ms).unwrap();
        apply(&store, second, now_ms);
        fold(&mut oracle, second, now_ms);
        windows_are_the_formula(&store, &oracle, now_ms);
        // As a fresh start has it; and hours later, while windows move on.
        store.warm(now_ms).unwrap();
        for hours in [0, 1, 5, 30] {
            let later = now_ms + hours * HOUR_MS + 17;
            windows_of_later(&store, &oracle, later);
        }
    }
}

/// As above where the shortest windows may have run empty.
fn windows_of_later(store: &Store, oracle: &Oracle, now_ms: i64) {
    let posts = TrendingPosts::default();
    for (window, of_oracle) in WINDOWS {
        let listed = posts.listed(store, window, now_ms).0;
        let due = listed.iter().filter(|post| post.created_at <= now_ms);
        let found: Vec<(Id, f64)> = due.map(|post| (post.id, post.score)).collect();
        let mut expected = oracle.trending(of_oracle, now_ms);
        expected.truncate(KEPT);
        assert_eq!(found, expected, "{window:?} at {now_ms}");
    }
}

/// What the oracle lets a reader see of a window.
fn visible(oracle: &Oracle, viewer: Id, window: OracleWindow, now_ms: i64) -> Vec<(Id, f64)> {
    let listed = oracle.trending(window, now_ms).into_iter().take(KEPT);
    listed.filter(|(id, _)| allowed(oracle, viewer, *id, now_ms)).collect()
}

/// One's own and viewed posts may be shown.
fn allowed(oracle: &Oracle, viewer: Id, post: Id, now_ms: i64) -> bool {
    oracle.left_out_of_trending(viewer, post, now_ms).is_none()
}

fn ask(pages: &TrendingPages, viewer: Id, window: Window, cursor: Option<String>, now_ms: i64) -> TrendingPage {
    pages.page(&TrendingRequest { viewer, window, limit: 7, cursor }, now_ms).unwrap()
}

#[test]
fn a_chain_over_a_world_that_stands_still_is_the_whole_list() {
    let world = World::new(WorldConfig::small(43, IdKind::Uuid));
    let log = crate::log::history(&world, &Encoding::new(IdKind::Uuid));
    let now_ms = world.config().now_ms;
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::Uuid);
    let mut oracle = Oracle::new(IdKind::Uuid, 0);
    apply(&store, &log, now_ms);
    fold(&mut oracle, &log, now_ms);
    store.warm(now_ms).unwrap();
    let (pages, _) = pages_over(&store);
    for viewer in viewers(&world, 3) {
        for (window, of_oracle) in WINDOWS {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                // The clock goes on meanwhile; the chain's `now` does not.
                let page = ask(&pages, viewer, window, cursor, now_ms + found.len() as i64);
                assert_eq!(page.ranked_at, now_ms);
                assert_eq!(page.has_more, page.cursor.is_some());
                found.extend(page.posts.iter().map(|post| (post.id.1, post.score)));
                match page.cursor {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, visible(&oracle, viewer, of_oracle, now_ms), "{window:?}");
        }
    }
}

/// A world that changes while a chain is read, with a restart of everything in memory halfway.
#[test]
fn a_chain_over_a_changing_world_shows_nothing_twice_and_nothing_that_may_not_be_seen() {
    let world = World::new(WorldConfig::small(44, IdKind::U64));
    let log = crate::log::history(&world, &Encoding::new(IdKind::U64));
    let now_ms = world.config().now_ms;
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    let mut oracle = Oracle::new(IdKind::U64, 0);
    let mut rest: &[LogRecord] = &log;
    let mut take = |count: usize, oracle: &mut Oracle| {
        let (now, later) = rest.split_at(count.min(rest.len()));
        apply(&store, now, now_ms);
        fold(oracle, now, now_ms);
        rest = later;
    };
    take(log.len() / 2, &mut oracle);
    store.warm(now_ms).unwrap();
    let step = log.len() / 200;
    let (mut pages, mut posts) = pages_over(&store);
    let mut shown_in_all = 0;
    for (number, viewer) in viewers(&world, 12).into_iter().enumerate() {
        let window = Window::ALL[number % 3];
        let (mut seen, mut cursor) = (BTreeSet::new(), None);
        for page_number in 0..12_i64 {
            take(step / 4, &mut oracle);
            let at = now_ms + 40 * page_number;
            if page_number == 6 {
                store.warm(at).unwrap();
                (pages, posts) = pages_over(&store);
            }
            posts.refresh(&store, at);
            let page = ask(&pages, viewer, window, cursor, at);
            for post in &page.posts {
                assert!(seen.insert(post.id.1), "{window:?}, page {page_number}: {:?} a second time", post.id.1);
                assert!(allowed(&oracle, viewer, post.id.1, at), "{:?} may not be seen", post.id.1);
            }
            let ordered = page.posts.is_sorted_by(|left, right| left.score >= right.score);
            assert!(ordered, "best first");
            match page.cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        shown_in_all += seen.len();
    }
    assert!(shown_in_all > 500, "chains were long enough to prove something: {shown_in_all}");
}

#[test]
fn a_cursor_of_another_window_reader_or_day_or_one_tampered_with_is_refused() {
    let world = World::new(WorldConfig::small(45, IdKind::Uuid));
    let log = crate::log::history(&world, &Encoding::new(IdKind::Uuid));
    let now_ms = world.config().now_ms;
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::Uuid);
    apply(&store, &log, now_ms);
    store.warm(now_ms).unwrap();
    let (pages, _) = pages_over(&store);
    let (viewer, other) = (world.user(3), world.user(4));
    let cursor = ask(&pages, viewer, Window::Day, None, now_ms).cursor.unwrap();
    let refused = |viewer, window, cursor: &str, now_ms| {
        let request = TrendingRequest { viewer, window, limit: 7, cursor: Some(cursor.to_owned()) };
        matches!(pages.page(&request, now_ms), Err(FeedError::BadCursor))
    };
    assert!(!refused(viewer, Window::Day, &cursor, now_ms + 12 * HOUR_MS));
    assert!(refused(viewer, Window::Day, &cursor, now_ms + 12 * HOUR_MS + 1), "too old");
    assert!(refused(viewer, Window::Week, &cursor, now_ms), "another window");
    assert!(refused(other, Window::Day, &cursor, now_ms), "another reader");
    for at in 0..cursor.len() {
        let mut changed = cursor.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(refused(viewer, Window::Day, std::str::from_utf8(&changed).unwrap(), now_ms), "byte {at}");
        assert!(refused(viewer, Window::Day, &cursor[..at], now_ms), "cut at {at}");
    }
}
