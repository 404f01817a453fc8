//! On world M: what finding the trending posts costs, and suggesting users, for any reader and for those who follow most.

use std::time::{Duration, Instant};

use edgefeed::ranking::trending::Window;
use edgefeed::suggest;
use edgefeed::trending::TrendingPosts;
use edgefeed_storage::Store;
use edgefeed_storage::model::Id;

use crate::table::times;
use crate::world_m;

const PASSES: usize = 20;
const READERS: u64 = 1_000;

pub(crate) fn run() {
    let (world, store) = world_m::in_memory();
    let now_ms = world.config().now_ms;
    println!("\nworld M, beside the feed");
    let refresh = |posts: &TrendingPosts| {
        let started = Instant::now();
        posts.refresh(&store, now_ms);
        started.elapsed()
    };
    let pass = |_| refresh(&TrendingPosts::default());
    times("  trending posts of three windows, a pass over everything", (0..PASSES).map(pass).collect());
    let posts = TrendingPosts::default();
    refresh(&posts);
    times("  the same once more, where nothing has changed", (0..PASSES).map(|_| refresh(&posts)).collect());
    for window in Window::ALL {
        println!("    {} found: {}", window.name(), posts.listed(&store, window, now_ms).0.len());
    }
    let any: Vec<Id> = (0..READERS).map(|n| world.user((n * 7_919 % 50_000) as u32)).collect();
    times("  users to suggest to any reader", any.iter().map(|reader| suggest(&store, *reader, now_ms)).collect());
    let mut most: Vec<(usize, Id)> =
        (0..50_000).map(|n| world.user(n)).map(|user| (follows(&store, user), user)).collect();
    most.sort_unstable_by(|left, right| right.cmp(left));
    most.truncate(200);
    println!("    the 200 who follow most follow {} to {}", most[199].0, most[0].0);
    times("  users to suggest to them", most.iter().map(|(_, reader)| suggest(&store, *reader, now_ms)).collect());
}

fn follows(store: &Store, user: Id) -> usize {
    let mut count = 0;
    store.followed_by(user, usize::MAX, |_| count += 1).unwrap();
    count
}

fn suggest(store: &Store, reader: Id, now_ms: i64) -> Duration {
    let started = Instant::now();
    std::hint::black_box(suggest::find(store, reader, now_ms).unwrap());
    started.elapsed()
}
