//! How large a world is and what is odd about it.

use edgefeed_storage::model::{IdKind, TimestampMs};

/// 2026-11-22T19:46:57.860Z: the time the fixed-time worlds are. Neither an hour nor a day begins there.
pub const DEFAULT_NOW_MS: TimestampMs = 1_795_376_817_860;

/// The recipe of a [`World`](super::World). The same recipe makes the same bytes.
///
/// Counts are of the ordinary population; the [`Cast`](super::Cast) of special cases comes on top.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldConfig {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// The kind of ids.
    pub ids: IdKind,
    /// The time the world is: the history ends here.
    pub now_ms: TimestampMs,
    /// Users, at least 20.
    pub users: u32,
    /// Posts, at least 100, spread evenly over `post_days`.
    pub posts: u32,
    /// Over how many days before now the posts were written.
    pub post_days: u16,
    /// How many days before now the database's snapshot was taken; the log of changes and events begins there.
    pub log_days: u16,
    /// How many others a user follows on average.
    pub follows_mean: u32,
    /// Client events in the log, repeats not counted.
    pub events: u64,
    /// Rows of `likes`, unlikes not deducted.
    pub like_rows: u32,
    /// Rows of `comments`.
    pub comment_rows: u32,
    /// Rows of `blocks`.
    pub blocks: u32,
    /// Share of events the producer sends twice (most within 30 minutes, every tenth more than 3 hours later).
    pub repeat_share: f64,
    /// Share of events that arrive an hour to 89 days after they happened.
    pub late_share: f64,
    /// Share of events of clients whose clock is up to 5 minutes ahead.
    pub ahead_share: f64,
    /// Share of events without `author_id`.
    pub no_author_share: f64,
    /// Share of events without `event_id`.
    pub no_id_share: f64,
    /// Share of rows that are changed or deleted again; of follows a tenth of it.
    pub churn_share: f64,
}

impl WorldConfig {
    /// For tests: 200 users, 2,000 posts, 20,000 events.
    pub const fn small(seed: u64, ids: IdKind) -> Self {
        Self {
            seed,
            ids,
            now_ms: DEFAULT_NOW_MS,
            users: 200,
            posts: 2_000,
            post_days: 14,
            log_days: 7,
            follows_mean: 20,
            events: 20_000,
            like_rows: 3_000,
            comment_rows: 1_200,
            blocks: 60,
            repeat_share: 0.01,
            late_share: 0.02,
            ahead_share: 0.01,
            no_author_share: 0.02,
            no_id_share: 0.01,
            churn_share: 0.04,
        }
    }

    /// For `edgefeed demo`: a population of the size asked for, as it is at `now_ms`, with ten events a post.
    pub fn demo(users: u32, posts: u32, seed: u64, ids: IdKind, now_ms: TimestampMs) -> Self {
        Self {
            now_ms,
            users,
            posts,
            follows_mean: (users / 10).clamp(10, 200),
            events: u64::from(posts) * 10,
            like_rows: posts,
            comment_rows: posts / 3,
            blocks: users / 5,
            ..Self::small(seed, ids)
        }
    }

    /// World M of the figures: 1 M posts over 14 days, 50 k users, and about 10 M follows, 5 M pairs of reader and
    /// author, 3 M pairs of post and hour with events.
    pub const fn world_m(seed: u64, ids: IdKind) -> Self {
        Self {
            users: 50_000,
            posts: 1_000_000,
            follows_mean: 200,
            events: 5_600_000,
            like_rows: 500_000,
            comment_rows: 200_000,
            blocks: 20_000,
            repeat_share: 0.002,
            late_share: 0.005,
            ahead_share: 0.005,
            no_author_share: 0.005,
            no_id_share: 0.005,
            churn_share: 0.02,
            ..Self::small(seed, ids)
        }
    }
}
