//! Whom a reader might follow: friends of friends, by how many of the reader's own they are followed by.
//!
//! `find` counts, `kept` remembers for a while; a job renews what is remembered of readers who came lately, so that
//! most requests read memory alone.

mod find;
mod kept;

use std::sync::Arc;

use edgefeed_storage::Store;
use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_sync::Lag;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::feed::{FeedError, JsonId};
use crate::metrics;
use kept::Kept;

pub use find::{FOLLOWED_MAX, FRIENDS_MAX, Suggested, find};

/// Users suggested to one reader at most.
pub const SUGGESTED_MAX: usize = 50;
/// How many readers' friends are counted at a time; the others wait. Feeds have the processors first.
const FINDING_MAX: usize = 2;

/// One request for suggestions.
#[derive(Clone, Copy, Debug)]
pub struct SuggestedRequest {
    /// To whom.
    pub viewer: Id,
    /// How many users, 1 to 50.
    pub limit: usize,
}

/// Users a reader might follow.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SuggestedUsers {
    /// The users, best first.
    pub users: Vec<SuggestedUser>,
    /// When this was found, in epoch milliseconds. Within a minute or so, and since the reader's last follow or block.
    #[schema(value_type = i64)]
    pub as_of: TimestampMs,
    /// What this answer lacks against a healthy one.
    pub degraded: Vec<&'static str>,
}

/// A user a reader might follow.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SuggestedUser {
    /// The user.
    pub id: JsonId,
    /// Why.
    pub reason: SuggestedReason,
}

/// Why a user is suggested.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SuggestedReason {
    /// Always `mutual_follows`: users whom the reader follows follow the one suggested.
    pub kind: &'static str,
    /// How many they are.
    pub mutual_count: u32,
    /// Some of them, those the reader has most to do with first; at most 3.
    pub mutual_ids: Vec<JsonId>,
}

/// Finds users to suggest, and remembers them for a while.
#[derive(Debug)]
pub struct Suggestions {
    store: Arc<Store>,
    lag: Arc<Lag>,
    kept: Kept,
    finding: Semaphore,
}

impl Suggestions {
    /// Suggestions over a store that something else keeps current.
    pub fn new(store: Arc<Store>, lag: Arc<Lag>) -> Arc<Self> {
        Arc::new(Self { store, lag, kept: Kept::new(), finding: Semaphore::new(FINDING_MAX) })
    }

    /// Users to suggest at `now_ms`.
    pub async fn page(
        self: Arc<Self>,
        request: SuggestedRequest,
        now_ms: TimestampMs,
    ) -> Result<SuggestedUsers, FeedError> {
        let suggestions = Arc::clone(&self);
        let kept = blocking(move || suggestions.kept.fresh(&suggestions.store, request.viewer, now_ms)).await??;
        metrics::cache("suggested", kept.is_some());
        let found = match kept {
            Some(kept) => kept,
            None => {
                let _turn = self.finding.acquire().await.map_err(|_| FeedError::Internal)?;
                let suggestions = Arc::clone(&self);
                // Somebody else's turn may have found them.
                blocking(move || suggestions.kept.fresh_or_found(&suggestions.store, request.viewer, now_ms)).await??
            }
        };
        Ok(self.answer(&found.users, found.at, request.limit))
    }

    /// Finds anew what is remembered of readers who came lately and is about to grow old; as much of it as fits into one
    /// run. Returns how many readers that were.
    pub fn renew(&self, now_ms: TimestampMs) -> Result<usize, edgefeed_storage::StoreError> {
        self.kept.renew(&self.store, now_ms)
    }

    fn answer(&self, users: &[Suggested], as_of: TimestampMs, limit: usize) -> SuggestedUsers {
        let kind = self.store.ids();
        let user = |found: &Suggested| SuggestedUser {
            id: JsonId(kind, found.id),
            reason: SuggestedReason {
                kind: "mutual_follows",
                mutual_count: found.mutual_count,
                mutual_ids: found.mutuals().iter().map(|id| JsonId(kind, *id)).collect(),
            },
        };
        let marks = [("catching_up", !self.lag.caught_up()), ("ingest_failed", self.lag.failure().is_some())];
        SuggestedUsers {
            users: users.iter().take(limit).map(user).collect(),
            as_of,
            degraded: marks.into_iter().filter(|(_, holds)| *holds).map(|(mark, _)| mark).collect(),
        }
    }
}

/// Reads the store, which may wait for a lock or for the disk: never on a thread that has connections to serve.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, FeedError> {
    tokio::task::spawn_blocking(read).await.map_err(|error| {
        tracing::error!(%error, "finding users to suggest panicked");
        FeedError::Internal
    })
}
