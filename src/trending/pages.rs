//! `GET /api/v1/feed/trending`: one page of a window's posts for a reader.
//!
//! What is trending is the same for everybody; a reader's page lacks what they may not see: posts deleted or dated
//! ahead, by authors blocked either way, and hidden ones. Their own posts and those they have viewed stay.
//!
//! A chain of pages keeps the `now` it began with. Its next page scores the posts that trend by then at that `now` and
//! goes on below the last one shown. Counters only grow, so a post once shown never falls below its place: nothing is
//! shown twice, and what rose past the place meanwhile is left out. No list is kept for a chain, so a restart ends none.

use std::sync::Arc;

use edgefeed_storage::model::{HOUR_MS, Id, TimestampMs};
use edgefeed_storage::{PostFacts, Store, View, Viewer};
use edgefeed_sync::Lag;
use serde::Serialize;
use utoipa::ToSchema;

use super::TrendingPosts;
use crate::cursor::{self, Keys, Place, Rank};
use crate::feed::{FeedError, JsonId, rfc3339};
use crate::ranking::trending::{self, Trending, Window};

/// How old a chain may be: its oldest hours are still counted then (the store keeps a day more than the longest window).
const CHAIN_MAX_MS: i64 = 12 * HOUR_MS;

/// One request for a page.
#[derive(Clone, Debug)]
pub struct TrendingRequest {
    /// Who asks.
    pub viewer: Id,
    /// Which window.
    pub window: Window,
    /// How many posts, 1 to 100.
    pub limit: usize,
    /// The cursor of the page before, as given out.
    pub cursor: Option<String>,
}

/// One page of trending posts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TrendingPage {
    /// The posts, best first.
    pub posts: Vec<TrendingPost>,
    /// Where the next page starts; `null` at the end.
    #[schema(required = true)]
    pub cursor: Option<String>,
    /// Whether there is more behind this page.
    pub has_more: bool,
    /// The window: `1h`, `24h` or `7d`.
    pub window: &'static str,
    /// The `now` of the formula, in epoch milliseconds; the same on every page of a chain.
    #[schema(value_type = i64)]
    pub ranked_at: TimestampMs,
    /// What this answer lacks against a healthy one.
    pub degraded: Vec<&'static str>,
}

/// One trending post.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TrendingPost {
    /// The post.
    pub id: JsonId,
    /// Its author.
    pub author_id: JsonId,
    /// RFC 3339, UTC, milliseconds.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The decayed interactions of the window.
    pub score: f64,
    /// Live rows of `likes`.
    pub like_count: u64,
    /// Live rows of `comments`.
    pub comment_count: u64,
    /// Whether the reader's like is among them.
    pub viewer_liked: bool,
}

/// Makes readers' pages of what is trending.
#[derive(Debug)]
pub struct TrendingPages {
    store: Arc<Store>,
    posts: Arc<TrendingPosts>,
    lag: Arc<Lag>,
    keys: Keys,
}

/// What a page is chosen from, best first, and the `now` of its scores.
struct Listed {
    posts: Arc<[Trending]>,
    at: TimestampMs,
}

impl TrendingPages {
    /// Pages over a store that something else keeps current, of posts that a job finds. `keys` seal the cursors.
    pub fn new(store: Arc<Store>, posts: Arc<TrendingPosts>, lag: Arc<Lag>, keys: Keys) -> Self {
        Self { store, posts, lag, keys }
    }

    /// One page at `now_ms`. Reads memory, and of the store only which posts the reader likes.
    pub fn page(&self, request: &TrendingRequest, now_ms: TimestampMs) -> Result<TrendingPage, FeedError> {
        let rank = self.rank(request, now_ms)?;
        // Before the view: finding them anew takes the lock that a view holds.
        let (posts, at) = self.posts.listed(&self.store, request.window, now_ms);
        let view = self.store.view(request.viewer, now_ms)?;
        let listed = match rank {
            None => Listed { posts, at },
            Some(rank) => below(&view, &posts, &rank),
        };
        let viewer = view.viewer();
        let mut shown = listed.posts.iter().filter(|post| may_be_shown(&view, &viewer, post.id, now_ms));
        let page: Vec<&Trending> = shown.by_ref().take(request.limit).collect();
        let has_more = shown.next().is_some();
        let last = page.last().filter(|_| has_more);
        Ok(TrendingPage {
            cursor: last.map(|last| self.place(request, last, listed.at)),
            posts: self.fill(&view, &page)?,
            has_more,
            window: request.window.name(),
            ranked_at: listed.at,
            degraded: self.degraded(&view),
        })
    }

    /// Where the chain stands; `None` at its beginning.
    fn rank(&self, request: &TrendingRequest, now_ms: TimestampMs) -> Result<Option<Rank>, FeedError> {
        let Some(text) = &request.cursor else { return Ok(None) };
        match cursor::open(&self.keys, request.viewer, text)? {
            Place::Trending(rank)
                if rank.window == request.window && now_ms.saturating_sub(rank.at) <= CHAIN_MAX_MS =>
            {
                Ok(Some(rank))
            }
            _ => Err(FeedError::BadCursor),
        }
    }

    fn place(&self, request: &TrendingRequest, last: &Trending, at: TimestampMs) -> String {
        let rank = Rank { window: request.window, at, last: *last };
        cursor::seal(&self.keys, request.viewer, &Place::Trending(rank))
    }

    fn fill(&self, view: &View<'_>, page: &[&Trending]) -> Result<Vec<TrendingPost>, FeedError> {
        let kind = self.store.ids();
        let ids: Vec<Id> = page.iter().map(|post| post.id).collect();
        let liked = view.liked(&ids)?;
        let posts = page.iter().zip(liked).filter_map(|(post, viewer_liked)| {
            let facts = view.facts(view.find(post.id)?)?;
            Some(TrendingPost {
                id: JsonId(kind, post.id),
                author_id: JsonId(kind, view.author_id(facts.author())?),
                created_at: rfc3339(post.created_at),
                score: post.score,
                like_count: facts.like_count(),
                comment_count: facts.comment_count(),
                viewer_liked,
            })
        });
        Ok(posts.collect())
    }

    fn degraded(&self, view: &View<'_>) -> Vec<&'static str> {
        let marks = [
            ("catching_up", !self.lag.caught_up()),
            ("ingest_failed", self.lag.failure().is_some()),
            ("warming", !view.is_warm()),
        ];
        marks.into_iter().filter(|(_, holds)| *holds).map(|(mark, _)| mark).collect()
    }
}

/// The posts that trend now, as they stood at the chain's `now`, below its place.
fn below(view: &View<'_>, posts: &[Trending], rank: &Rank) -> Listed {
    let facts = posts.iter().filter_map(|post| view.facts(view.find(post.id)?));
    let standings = facts.filter_map(|facts| trending::standing(facts, rank.window, rank.at));
    let mut below: Vec<Trending> =
        standings.filter(|standing| trending::best_first(&rank.last, standing).is_lt()).collect();
    below.sort_unstable_by(trending::best_first);
    Listed { posts: below.into(), at: rank.at }
}

/// Whether a reader may see a post at all.
fn may_be_shown(view: &View<'_>, viewer: &Viewer, post: Id, now_ms: TimestampMs) -> bool {
    let allowed = |facts: &PostFacts| {
        facts.created_at() <= now_ms
            && !viewer.blocked.contains(&facts.author())
            && !viewer.hidden.contains(&facts.id())
    };
    view.find(post).and_then(|number| view.facts(number)).is_some_and(allowed)
}
