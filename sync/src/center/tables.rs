//! The tables that the sink writes, with their columns in the order `row` encodes them.

use edgefeed_storage::model::Topic;

/// One table of the center that rows of a topic go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Client events.
    Events,
    /// Changes of posts.
    Posts,
    /// Changes of follows.
    Follows,
    /// Changes of comments.
    Comments,
    /// Changes of likes.
    Likes,
    /// Changes of blocks.
    Blocks,
}

/// Where a row came from; the range last, because it is known last.
macro_rules! with_origin {
    ($($column:literal),*) => {
        &[$($column,)* "_cluster", "_epoch", "_topic", "_partition", "_offset", "_ts", "_range_first", "_range_last"]
    };
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] = [Self::Events, Self::Posts, Self::Follows, Self::Comments, Self::Likes, Self::Blocks];

    /// The table a topic's rows go to; `None` for users, whom the center does not list.
    pub const fn of(topic: Topic) -> Option<Self> {
        match topic {
            Topic::Events => Some(Self::Events),
            Topic::Posts => Some(Self::Posts),
            Topic::Follows => Some(Self::Follows),
            Topic::Comments => Some(Self::Comments),
            Topic::Likes => Some(Self::Likes),
            Topic::Blocks => Some(Self::Blocks),
            Topic::Users => None,
        }
    }

    /// The table's name, also as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Posts => "posts_cdc",
            Self::Follows => "follows_cdc",
            Self::Comments => "comments_cdc",
            Self::Likes => "likes_cdc",
            Self::Blocks => "blocks_cdc",
        }
    }

    /// The columns of an encoded row, in its order.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => with_origin!(
                "event_id",
                "event_time",
                "user_id",
                "post_id",
                "author_id",
                "action",
                "dwell_ms",
                "device",
                "app_ver"
            ),
            Self::Posts => with_origin!("id", "user_id", "created_at", "deleted_at", "_version", "_deleted"),
            Self::Follows => with_origin!("follower_id", "following_id", "created_at", "_version", "_deleted"),
            Self::Comments => with_origin!("id", "post_id", "user_id", "created_at", "_version", "_deleted"),
            Self::Likes => with_origin!("user_id", "post_id", "created_at", "_version", "_deleted"),
            Self::Blocks => with_origin!("blocker_id", "blocked_id", "created_at", "_version", "_deleted"),
        }
    }
}
