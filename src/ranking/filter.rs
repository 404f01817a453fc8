//! What may be shown at all. A refused post is a value with a reason, so that it can be counted and explained.

use edgefeed_storage::model::TimestampMs;
use edgefeed_storage::{PostFacts, Viewer};

/// Why a post may not be shown to a viewer. (Deleted posts never come this far: the store does not hand them out.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removed {
    /// The viewer wrote it.
    Own,
    /// Its creation time lies ahead of now.
    DatedAhead,
    /// Viewer and author block one another, either way.
    Blocked,
    /// The viewer hid it.
    Hidden,
    /// The viewer viewed it lately.
    Viewed,
}

impl Removed {
    /// Every reason, in the order they are tried.
    pub const ALL: [Self; 5] = [Self::Own, Self::DatedAhead, Self::Blocked, Self::Hidden, Self::Viewed];

    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::DatedAhead => "dated_ahead",
            Self::Blocked => "blocked",
            Self::Hidden => "hidden",
            Self::Viewed => "viewed",
        }
    }
}

/// Whether a post is left out, and why. The end of the viewed window counts in.
pub fn removed(viewer: &Viewer, post: &PostFacts, viewed_ms: i64, now_ms: TimestampMs) -> Option<Removed> {
    if post.author() == viewer.me {
        return Some(Removed::Own);
    }
    if post.created_at() > now_ms {
        return Some(Removed::DatedAhead);
    }
    if !viewer.blocked.is_empty() && viewer.blocked.contains(&post.author()) {
        return Some(Removed::Blocked);
    }
    if !viewer.hidden.is_empty() && viewer.hidden.contains(&post.id()) {
        return Some(Removed::Hidden);
    }
    if viewer.viewed.is_empty() {
        return None;
    }
    // A view dated a little ahead is a reader whose clock runs fast; the store keeps none dated far ahead.
    let viewed = viewer.viewed.get(&post.id()).is_some_and(|at| *at >= now_ms - viewed_ms);
    viewed.then_some(Removed::Viewed)
}
