//! World M: 1 M posts, 50 k users, 10 M follows, 5 M pairs, 3 M hourly rows. Feeds ranked anew, start to ready, memory.
//!
//! The store is built once and kept beside the build (it takes minutes); delete the directory to build it again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed::feed::{Feed, FeedRequest};
use edgefeed::trending::TrendingPosts;
use edgefeed::tuning::Tuning;
use edgefeed::world::{World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind, Outcome, Record, TopicPartition};
use edgefeed_storage::{Config, OpenOptions, Store};
use edgefeed_sync::Lag;

use crate::table::{quantile, resident_mb, times};

const PAGES: usize = 20_000;

pub(crate) fn run() {
    let world = built();
    let (now_ms, dir) = (world.config().now_ms, directory());
    println!("\nworld M");
    let before = resident_mb();
    let started = Instant::now();
    let store = open(&dir);
    let opened = started.elapsed();
    let feed = feed_over(&store);
    page(&feed, world.user(40_000), now_ms);
    let answered = started.elapsed();
    store.warm(now_ms).unwrap();
    let feed = feed_over(&store);
    page(&feed, world.user(40_000), now_ms);
    println!(
        "  open {:.2} s, first page (cold) {:.2} s, everything in memory {:.2} s after the start",
        opened.as_secs_f64(),
        answered.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    let viewers: Vec<Id> = (0..PAGES as u64).map(|n| world.user((n * 7_919 % 50_000) as u32)).collect();
    let cold: Vec<Duration> = viewers.iter().map(|viewer| page(&feed, *viewer, now_ms)).collect();
    times("  ranked anew, reader not seen before", cold);
    let warm: Vec<Duration> = viewers.iter().map(|viewer| page(&feed, *viewer, now_ms)).collect();
    times("  ranked anew, reader's facts kept", warm.clone());
    two_threads(&feed, &viewers, now_ms);
    parts(&store, &viewers, now_ms, &warm);
    println!("  memory: {:.0} MB resident, {:.0} MB of it before the store was opened", resident_mb(), before);
}

fn page(feed: &Feed, viewer: Id, now_ms: i64) -> Duration {
    let request = FeedRequest::of(viewer);
    let started = Instant::now();
    let page = feed.page(&request, now_ms).unwrap();
    let took = started.elapsed();
    std::hint::black_box(page);
    took
}

fn two_threads(feed: &Feed, viewers: &[Id], now_ms: i64) {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for half in viewers.chunks(viewers.len() / 2) {
            scope.spawn(move || {
                for viewer in half {
                    page(feed, *viewer, now_ms);
                }
            });
        }
    });
    println!("  ranked anew on both cores: {:.0} a second", viewers.len() as f64 / started.elapsed().as_secs_f64());
}

/// Where the time of a page goes: the parts that can be called by themselves.
fn parts(store: &Arc<Store>, viewers: &[Id], now_ms: i64, whole: &[Duration]) {
    let mut views = Vec::new();
    let mut walks = Vec::new();
    for viewer in viewers {
        let started = Instant::now();
        let mut view = store.view(*viewer, now_ms).unwrap();
        views.push(started.elapsed());
        let facts = view.viewer();
        view.load(&facts.follows).unwrap();
        let started = Instant::now();
        let posts: usize = facts.follows.iter().map(|author| view.posts_of(*author).len()).sum();
        walks.push(started.elapsed());
        std::hint::black_box(posts);
    }
    times("    of it: opening the view", views);
    times("    of it: walking followed authors' posts", walks);
    let mut whole = whole.to_vec();
    whole.sort_unstable();
    println!("    whole page p50 {:.0} µs", quantile(&whole, 0.5).as_secs_f64() * 1e6);
}

/// World M, its store built where that is not done yet.
fn built() -> World {
    let (world, dir) = (World::new(WorldConfig::world_m(1, IdKind::Uuid)), directory());
    if !dir.join("built").exists() {
        build(&world, &dir);
    }
    world
}

/// World M and its store, all in memory.
pub(crate) fn in_memory() -> (World, Arc<Store>) {
    let world = built();
    let store = open(&directory());
    store.warm(world.config().now_ms).unwrap();
    (world, store)
}

fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("world-m-1")
}

fn open(dir: &std::path::Path) -> Arc<Store> {
    let config = Config { dir: dir.join("store"), ..Config::default() };
    Arc::new(Store::open(&config, OpenOptions { ids: IdKind::Uuid, apply_truncates: false }).unwrap())
}

pub(crate) fn feed_over(store: &Arc<Store>) -> Feed {
    let (trending, lag) = (Arc::new(TrendingPosts::default()), Arc::new(Lag::default()));
    Feed::new(Arc::clone(store), trending, lag, Arc::new(Tuning::default()))
}

fn build(world: &World, dir: &std::path::Path) {
    drop(std::fs::remove_dir_all(dir));
    std::fs::create_dir_all(dir).unwrap();
    println!("\nbuilding world M in {} …", dir.display());
    let store = open(dir);
    let started = Instant::now();
    let mut batch: Vec<Record> = Vec::new();
    let mut ends = std::collections::BTreeMap::new();
    let mut total = 0_u64;
    for fact in world.history() {
        let at = TopicPartition { topic: fact.topic(), partition: 0 };
        let end: &mut i64 = ends.entry(at).or_default();
        batch.push(Record {
            at,
            offset: *end,
            time: fact.time_ms,
            outcome: Outcome::Change(fact.to_change(0)),
            raw: None,
        });
        *end += 1;
        total += 1;
        if batch.len() == 2_000 {
            store.apply(&batch, world.config().now_ms).unwrap();
            batch.clear();
        }
    }
    store.apply(&batch, world.config().now_ms).unwrap();
    let rate = total as f64 / started.elapsed().as_secs_f64();
    println!("  {total} facts in {:.0} s ({rate:.0} a second)", started.elapsed().as_secs_f64());
    store.settle().unwrap();
    std::fs::write(dir.join("built"), "").unwrap();
}
