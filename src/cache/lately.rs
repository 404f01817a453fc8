//! What readers were served lately: `refresh=1` puts it after all others. It is this node's memory and no fact: readers
//! and posts that do not fit are forgotten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::{Id, TimestampMs};
use hashbrown::HashSet;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::config::Config;

/// Posts remembered of one reader.
const POSTS_MAX: usize = 1_000;
/// Memory of a reader or of a page beside its posts, by estimate.
const OVERHEAD: usize = 128;

/// The posts each reader was served lately.
#[derive(Debug)]
pub struct Lately {
    readers: Cache<Id, Arc<Mutex<Ring>>>,
    ttl_ms: i64,
}

/// One reader's pages, the oldest first.
#[derive(Debug, Default)]
struct Ring {
    pages: VecDeque<(TimestampMs, Box<[Id]>)>,
    posts: usize,
    /// The memory the cache believes this takes.
    weighed: usize,
}

impl Ring {
    fn bytes(&self) -> usize {
        OVERHEAD * (1 + self.pages.len()) + self.posts * size_of::<Id>()
    }

    fn drop_before(&mut self, oldest: TimestampMs) {
        while self.posts > POSTS_MAX || self.pages.front().is_some_and(|(at, _)| *at <= oldest) {
            let Some((_, page)) = self.pages.pop_front() else { return };
            self.posts -= page.len();
        }
    }
}

impl Lately {
    /// An empty memory within these bounds.
    pub fn new(config: &Config) -> Self {
        let weigh = |_: &Id, ring: &Arc<Mutex<Ring>>| u32::try_from(ring.lock().weighed).unwrap_or(u32::MAX);
        let readers = Cache::builder()
            .weigher(weigh)
            .max_capacity(config.served_bytes)
            .time_to_idle(Duration::from_secs(config.served_ttl_s))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { readers, ttl_ms: i64::try_from(config.served_ttl_s).unwrap_or(i64::MAX).saturating_mul(1_000) }
    }

    /// A reader is served a page.
    pub fn note(&self, reader: Id, posts: impl IntoIterator<Item = Id>, now_ms: TimestampMs) {
        let page: Box<[Id]> = posts.into_iter().collect();
        if page.is_empty() {
            return;
        }
        let ring = self.readers.get_with(reader, Arc::default);
        let grown = {
            let mut ring = ring.lock();
            ring.posts += page.len();
            ring.pages.push_back((now_ms, page));
            ring.drop_before(now_ms.saturating_sub(self.ttl_ms));
            let bytes = ring.bytes();
            // The cache weighs what it is given, and not again: it is told when that has become another matter.
            let grown = bytes > ring.weighed || bytes < ring.weighed / 2;
            if grown {
                ring.weighed = bytes + bytes / 2;
            }
            grown
        };
        if grown {
            self.readers.insert(reader, ring);
        }
    }

    /// What a reader was served lately.
    pub fn served(&self, reader: Id, now_ms: TimestampMs) -> HashSet<Id> {
        let Some(ring) = self.readers.get(&reader) else { return HashSet::new() };
        let oldest = now_ms.saturating_sub(self.ttl_ms);
        let ring = ring.lock();
        let pages = ring.pages.iter().filter(|(at, _)| *at > oldest);
        pages.flat_map(|(_, page)| page.iter().copied()).collect()
    }

    /// Forgets what a reader was served.
    pub fn forget(&self, reader: Id) {
        self.readers.invalidate(&reader);
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.readers.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_795_376_817_860;

    fn ids(range: std::ops::Range<u128>) -> impl Iterator<Item = Id> {
        range.map(Id)
    }

    #[test]
    fn what_was_served_is_known_for_half_an_hour_and_to_its_reader_alone() {
        let lately = Lately::new(&Config::default());
        lately.note(Id(1), ids(0..20), NOW);
        lately.note(Id(1), ids(20..40), NOW + 60_000);
        lately.note(Id(2), ids(90..95), NOW);
        let all: HashSet<Id> = ids(0..40).collect();
        assert_eq!(lately.served(Id(1), NOW + 1_799_999), all);
        assert_eq!(lately.served(Id(1), NOW + 1_800_000), ids(20..40).collect());
        assert!(lately.served(Id(3), NOW).is_empty());
        lately.note(Id(1), ids(50..51), NOW + 1_860_000);
        assert_eq!(lately.served(Id(1), NOW + 1_860_000), ids(50..51).collect());
    }

    #[test]
    fn a_reader_takes_no_more_than_their_share_and_all_readers_no_more_than_the_bound() {
        let config = Config { served_bytes: 100_000, ..Config::default() };
        let lately = Lately::new(&config);
        for page in 0..100 {
            lately.note(Id(1), ids(page * 100..page * 100 + 100), NOW);
        }
        assert_eq!(lately.served(Id(1), NOW), ids(9_000..10_000).collect(), "the newest");
        for reader in 2..1_000 {
            lately.note(Id(reader), ids(0..20), NOW);
            lately.note(Id(reader), ids(20..40), NOW);
        }
        lately.readers.run_pending_tasks();
        assert!(lately.bytes() <= 100_000, "{}", lately.bytes());
        assert!(lately.bytes() > 50_000, "{}", lately.bytes());
        assert_eq!(lately.served(Id(999), NOW).len(), 40, "who came last is known");
    }
}
