//! While the store is read into a second projection, this one notes what changes: what was read of that is old by then, and
//! is read once more before the two change places.

use hashbrown::HashSet;

use super::{Hot, LoadedPost, POST_AGE_KEPT_MS, Source, load_post};
use crate::error::Result;
use crate::model::{Id, TimestampMs};

/// Posts noted at most. Where more change, reading everything anew is as good.
const NOTED_MAX: usize = 1 << 18;

/// What changed.
#[derive(Debug)]
pub(super) enum Followed {
    /// These posts.
    Posts(HashSet<Id>),
    /// Nobody knows what.
    Anything,
}

impl Hot {
    /// Notes what changes from now on, and `posts` for a beginning.
    pub(crate) fn follow(&mut self, posts: impl IntoIterator<Item = Id>) {
        self.followed = Some(Followed::Posts(HashSet::new()));
        posts.into_iter().for_each(|post| self.note(post));
    }

    /// Whether the store is being read beside this.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed.is_some()
    }

    /// Notes nothing any more.
    pub(crate) fn unfollow(&mut self) {
        self.followed = None;
    }

    /// What has been noted since this was last asked; `None` where everything may have changed.
    pub(crate) fn take_noted(&mut self) -> Option<HashSet<Id>> {
        match &mut self.followed {
            Some(Followed::Posts(posts)) => Some(std::mem::take(posts)),
            Some(Followed::Anything) => None,
            None => Some(HashSet::new()),
        }
    }

    /// To be called with every post whose facts change.
    pub(super) fn note(&mut self, post: Id) {
        if let Some(Followed::Posts(posts)) = &mut self.followed {
            posts.insert(post);
            if posts.len() > NOTED_MAX {
                self.followed = Some(Followed::Anything);
            }
        }
    }

    /// To be called when more changes than can be named.
    pub(super) fn note_anything(&mut self) {
        self.followed = self.followed.take().map(|_| Followed::Anything);
    }

    /// Reads a post once more: what is known of it may be old.
    pub(crate) fn renew(&mut self, source: Source<'_>, post: Id, now_ms: TimestampMs) -> Result<()> {
        match load_post(source, post, now_ms)? {
            Some((author, loaded)) if self.keeps(author, &loaded, now_ms) => self.add_post(author, loaded),
            _ => self.post_changed(post, None),
        }
        Ok(())
    }

    /// Whether a post is one of those that are read into memory with all others.
    fn keeps(&self, author: Id, post: &LoadedPost, now_ms: TimestampMs) -> bool {
        let listed = self.number_of(author).is_some_and(|author| self.is_loaded(author));
        listed && post.created_at >= now_ms.saturating_sub(POST_AGE_KEPT_MS) || post.is_active(now_ms)
    }
}
