//! A store with everything that answers from it, in this process and at a time of the test's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use edgefeed::cache;
use edgefeed::cursor::Keys;
use edgefeed::fallback;
use edgefeed::feed::{Answers, Feed, FeedError, FeedPage, FeedRequest};
use edgefeed::ranking;
use edgefeed::trending::TrendingPosts;
use edgefeed::tuning::Tuning;
use edgefeed::world::{EventFact, Fact, Op, RowFact, TableRow, What};
use edgefeed_storage::Store;
use edgefeed_storage::model::{Action, Id, IdKind, Outcome, Record, TimestampMs, TopicPartition};
use edgefeed_sync::Lag;
use parking_lot::Mutex;
use secrecy::SecretString;

use crate::compare;

/// Neither an hour nor a day begins here.
pub(super) const NOW: TimestampMs = 1_795_376_817_860;
const KEY: &str = "a key of at least thirty-two bytes";

pub(super) struct Stage {
    _dir: tempfile::TempDir,
    pub(super) feed: Arc<Feed>,
    pub(super) answers: Arc<Answers>,
    store: Arc<Store>,
    now_ms: AtomicI64,
    /// The next offset of each topic, and the database's log.
    log: Mutex<(BTreeMap<TopicPartition, i64>, u64)>,
}

impl Stage {
    pub(super) fn new(cache: &cache::Config, ranking: &ranking::Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = compare::open(&dir.path().join("store"), IdKind::U64);
        store.warm(NOW).unwrap();
        let lag = Arc::new(Lag::of_whole_store());
        let trending = Arc::new(TrendingPosts::default());
        let feed = Arc::new(Feed::new(Arc::clone(&store), trending, lag, Arc::new(Tuning::of(ranking))));
        let keys = Keys::new(&SecretString::from(KEY), &SecretString::default());
        let answers = Answers::new(Arc::clone(&feed), None, None, fallback::Config::default(), keys, cache);
        let log = Mutex::new((BTreeMap::new(), 1_000));
        Self { _dir: dir, feed, answers: Arc::new(answers), store, now_ms: AtomicI64::new(NOW), log }
    }

    pub(super) fn now(&self) -> TimestampMs {
        self.now_ms.load(Ordering::SeqCst)
    }

    pub(super) fn pass(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Applies what happens, as one batch.
    pub(super) fn apply(&self, facts: impl IntoIterator<Item = What>) {
        let mut log = self.log.lock();
        let (ends, lsn) = &mut *log;
        let now_ms = self.now();
        let records = facts.into_iter().map(|mut what| {
            if let What::Row(row) = &mut what {
                *lsn += 1;
                row.lsn = *lsn;
            }
            let fact = Fact { time_ms: now_ms, what };
            let at = TopicPartition { topic: fact.topic(), partition: 0 };
            let end = ends.entry(at).or_insert(0);
            *end += 1;
            let outcome = Outcome::Change(fact.to_change(0));
            Record { at, offset: *end - 1, time: now_ms, outcome, raw: None }
        });
        let records: Vec<Record> = records.collect();
        self.store.apply(&records, now_ms).unwrap();
    }

    pub(super) async fn page(&self, request: FeedRequest) -> Result<FeedPage, FeedError> {
        Arc::clone(&self.answers).page(request, self.now()).await
    }

    /// The next page of a chain, `limit` long.
    pub(super) async fn next(&self, page: &FeedPage, viewer: Id, limit: usize) -> FeedPage {
        assert_eq!(page.has_more, page.cursor.is_some());
        let request = FeedRequest { limit, cursor: page.cursor.clone(), ..FeedRequest::of(viewer) };
        self.page(request).await.unwrap()
    }

    /// All pages of a chain, and the posts they show.
    pub(super) async fn chain(&self, first: FeedRequest) -> Vec<FeedPage> {
        let (viewer, limit) = (first.viewer, first.limit);
        let mut pages = vec![self.page(first).await.unwrap()];
        while pages.last().unwrap().has_more {
            let next = self.next(pages.last().unwrap(), viewer, limit).await;
            pages.push(next);
        }
        pages
    }
}

pub(super) fn ids(page: &FeedPage) -> Vec<Id> {
    page.posts.iter().map(|post| post.id.1).collect()
}

pub(super) fn all_ids(pages: &[FeedPage]) -> Vec<Id> {
    pages.iter().flat_map(ids).collect()
}

fn row(op: Op, row: TableRow) -> What {
    What::Row(RowFact { op, row, lsn: 0, commit_ms: NOW })
}

pub(super) fn post(id: Id, author: Id, created_at: TimestampMs) -> What {
    row(Op::Create, TableRow::Post { id, author, created_at, deleted_at: None, toasted: false })
}

pub(super) fn delete(id: Id, author: Id) -> What {
    row(Op::Delete, TableRow::Post { id, author, created_at: NOW, deleted_at: None, toasted: false })
}

pub(super) fn follow(follower: Id, following: Id) -> What {
    row(Op::Create, TableRow::Follow { follower, following, created_at: NOW })
}

pub(super) fn unfollow(follower: Id, following: Id) -> What {
    row(Op::Delete, TableRow::Follow { follower, following, created_at: NOW })
}

pub(super) fn block(blocker: Id, blocked: Id) -> What {
    row(Op::Create, TableRow::Block { blocker, blocked, created_at: NOW })
}

pub(super) fn like(user: Id, post: Id) -> What {
    row(Op::Create, TableRow::Like { user, post, created_at: NOW })
}

/// Something a reader does now with a post whose author is known.
pub(super) fn event(action: Action, user: Id, post: Id, author: Id, event_time: TimestampMs) -> What {
    let event_id = Some(uuid::Uuid::new_v4().as_u128());
    What::Event(EventFact { event_id, event_time, user, post, author: Some(author), action, dwell_ms: 0 })
}
