//! Every table that can be read whole: its query, the width of its rows, and where its ids lie.

use edgefeed_storage::model::IdKind;
use serde::{Deserialize, Serialize};

/// What can be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walk {
    /// Rows of `posts`, deleted ones included.
    Posts,
    /// Rows of `follows`.
    Follows,
    /// Rows of `comments`.
    Comments,
    /// Rows of `likes`.
    Likes,
    /// Rows of `blocks`.
    Blocks,
    /// Posts that readers hid.
    Hides,
    /// Posts that readers viewed of late.
    Viewed,
    /// Event ids that are still remembered.
    EventIds,
    /// What happened to posts, by hour.
    PostHours,
    /// What readers did with authors' posts, by day.
    Histories,
}

impl Walk {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Posts,
        Self::Follows,
        Self::Comments,
        Self::Likes,
        Self::Blocks,
        Self::Hides,
        Self::Viewed,
        Self::EventIds,
        Self::PostHours,
        Self::Histories,
    ];

    /// The name for people, labels and notes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Follows => "follows",
            Self::Comments => "comments",
            Self::Likes => "likes",
            Self::Blocks => "blocks",
            Self::Hides => "hides",
            Self::Viewed => "viewed",
            Self::EventIds => "event_ids",
            Self::PostHours => "post_hours",
            Self::Histories => "histories",
        }
    }

    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Posts => include_str!("../../../../sql/clickhouse/query/002_posts.sql"),
            Self::Follows => include_str!("../../../../sql/clickhouse/query/003_follows.sql"),
            Self::Comments => include_str!("../../../../sql/clickhouse/query/004_comments.sql"),
            Self::Likes => include_str!("../../../../sql/clickhouse/query/005_likes.sql"),
            Self::Blocks => include_str!("../../../../sql/clickhouse/query/006_blocks.sql"),
            Self::Hides => include_str!("../../../../sql/clickhouse/query/007_hides.sql"),
            Self::Viewed => include_str!("../../../../sql/clickhouse/query/008_viewed.sql"),
            Self::EventIds => include_str!("../../../../sql/clickhouse/query/009_event_ids.sql"),
            Self::PostHours => include_str!("../../../../sql/clickhouse/query/010_post_hours.sql"),
            Self::Histories => include_str!("../../../../sql/clickhouse/query/011_histories.sql"),
        }
    }

    /// Bytes of a row.
    pub(super) const fn width(self, ids: IdKind) -> usize {
        let id = ids.width();
        match self {
            Self::Posts => id + 8 + 1 + 8 + id + 8 + 1,
            Self::Follows | Self::Likes | Self::Blocks => 2 * id + 8 + 1 + 8,
            Self::Comments => id + 8 + 1 + 8 + 2 * id,
            Self::Hides | Self::Viewed => 2 * id + 8,
            Self::EventIds => 4 + 4 + 16 + 8,
            Self::PostHours => id + 4 + 6 * 8,
            Self::Histories => 2 * id + 2 + 7 * 8,
        }
    }

    /// Where the ids of a range lie, of which a sample tells how to divide them; `None`: by partition of `events`.
    pub(super) const fn sampled(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Posts => Some(("posts_cdc", "id")),
            Self::Follows => Some(("follows_cdc", "follower_id")),
            Self::Comments => Some(("comments_cdc", "id")),
            Self::Likes => Some(("likes_cdc", "user_id")),
            Self::Blocks => Some(("blocks_cdc", "blocker_id")),
            Self::Hides => Some(("events WHERE action = 'hide'", "user_id")),
            Self::Viewed => Some(("events WHERE action = 'view'", "user_id")),
            Self::PostHours => Some(("post_metrics_1h", "post_id")),
            Self::Histories => Some(("user_author_90d", "user_id")),
            Self::EventIds => None,
        }
    }
}
