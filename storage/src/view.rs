//! The one door for readers: a consistent set of facts about one reader and the posts they may see.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::RwLockReadGuard;

use crate::counters::{self, RowCounts};
use crate::error::{Result, StoreError};
use crate::hot::{self, AuthorNo, Hot, PostFacts, PostNo};
use crate::key::Family;
use crate::model::{Id, TimestampMs, day_of};
use crate::spool::Overlay;
use crate::store::Store;
use crate::value::{self, LinkRow, PostRow};
use crate::viewer::{Facts, Viewer};

/// How often authors are loaded anew when others push them out meanwhile.
const LOAD_TRIES: usize = 4;
/// Authors read from the store while `apply` waits.
const LOAD_CHUNK: usize = 32;

/// Facts, held still: while a view lives, `apply` waits before it changes the projection. Short-lived by design.
#[derive(Debug)]
pub struct View<'a> {
    store: &'a Store,
    hot: RwLockReadGuard<'a, Hot>,
    viewer: Arc<Viewer>,
    now_ms: TimestampMs,
    /// Whether it may wait for a lock or for the disk.
    may_wait: bool,
}

/// A post, and where in memory it was: saves looking for it there later, as long as it has not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The post.
    pub id: Id,
    /// Where it was.
    pub place: PostNo,
}

impl Store {
    /// Opens a view for one reader at `now_ms`.
    pub fn view(&self, viewer: Id, now_ms: TimestampMs) -> Result<View<'_>> {
        let day = day_of(now_ms);
        loop {
            let viewer = self.viewer(viewer, now_ms)?;
            let hot = self.hot.read();
            if viewer.fits(hot.generation(), day) {
                return Ok(View { store: self, hot, viewer, now_ms, may_wait: true });
            }
        }
    }

    /// The same where nothing has to be waited for, and `None` where something has. What such a view does not find in
    /// memory is an error to it: [`StoreError::WouldWait`]. For threads that have more to do than this.
    pub fn view_at_once(&self, viewer: Id, now_ms: TimestampMs) -> Option<View<'_>> {
        let viewer = self.viewers.get(viewer)?;
        let hot = self.hot.try_read()?;
        let fits = viewer.fits(hot.generation(), day_of(now_ms));
        fits.then_some(View { store: self, hot, viewer, now_ms, may_wait: false })
    }

    /// One reader's facts, kept ones where they still fit. Takes the projection's lock itself: call it without.
    fn viewer(&self, id: Id, now_ms: TimestampMs) -> Result<Arc<Viewer>> {
        let day = day_of(now_ms);
        let generation = self.hot.read().generation();
        if let Some(kept) = self.viewers.get(id).filter(|kept| kept.fits(generation, day)) {
            return Ok(kept);
        }
        let ticket = self.viewers.ticket(id);
        let whole = *self.whole.read();
        let facts = Facts::read(&self.engine, self.keys, id, day, whole)?;
        loop {
            if let Some(made) = facts.finish(&self.hot.read(), id, day) {
                let made = Arc::new(made);
                self.viewers.put(Arc::clone(&made), &ticket);
                return Ok(made);
            }
            facts.intern(&mut self.hot.write(), id);
        }
    }

    /// Where these posts are now, for [`View::find_seen`]; without those that are not in memory.
    pub fn places(&self, posts: impl IntoIterator<Item = Id>) -> Vec<Seen> {
        let hot = self.hot.read();
        posts.into_iter().filter_map(|id| Some(Seen { id, place: hot.find(id)? })).collect()
    }
}

impl View<'_> {
    /// The reader.
    pub fn viewer(&self) -> Arc<Viewer> {
        Arc::clone(&self.viewer)
    }

    /// Whether everything that fits has been read into memory. Until then posts are loaded when they are asked for, and
    /// those that only trending would bring are missing.
    pub fn is_warm(&self) -> bool {
        !self.hot.is_partial()
    }

    /// Makes sure these authors' posts are in memory, and tells whether they are: not when they take more memory than
    /// there is. May read the store; loaded ones cost nothing. Afterwards [`View::viewer`] may be another one, with other
    /// author numbers: then load by those once more.
    pub fn load(&mut self, authors: &[AuthorNo]) -> Result<bool> {
        for _ in 0..LOAD_TRIES {
            let missing: Vec<Id> = authors
                .iter()
                .filter(|author| !self.hot.wants(**author))
                .filter_map(|author| self.hot.author_id(*author))
                .collect();
            if missing.is_empty() {
                return Ok(true);
            }
            self.wait()?;
            let (store, now_ms) = (self.store, self.now_ms);
            RwLockReadGuard::unlocked(&mut self.hot, || store.load_authors(&missing, now_ms))?;
            if !self.viewer.fits(self.hot.generation(), day_of(now_ms)) {
                return self.renew();
            }
        }
        Ok(false)
    }

    /// Makes sure these posts are in memory, as far as there are such posts: who wrote them may be nobody that was loaded.
    /// Tells whether all of them were looked for with success; not when they take more memory than there is. May read the
    /// store, once for each post that is missing. Afterwards [`View::viewer`] may be another one, with other numbers.
    pub fn load_posts(&mut self, posts: &[Id]) -> Result<bool> {
        let mut missing: Vec<Id> = posts.iter().filter(|post| !self.hot.has_post(**post)).copied().collect();
        for _ in 0..LOAD_TRIES {
            if missing.is_empty() {
                return Ok(true);
            }
            self.wait()?;
            let (store, now_ms) = (self.store, self.now_ms);
            let there = RwLockReadGuard::unlocked(&mut self.hot, || store.load_posts(&missing, now_ms))?;
            missing = there.into_iter().filter(|post| !self.hot.has_post(*post)).collect();
            if !self.viewer.fits(self.hot.generation(), day_of(now_ms)) {
                self.renew()?;
            }
        }
        Ok(missing.is_empty())
    }

    /// To be called before waiting.
    fn wait(&self) -> Result<()> {
        if self.may_wait { Ok(()) } else { Err(StoreError::WouldWait) }
    }

    /// The projection started over: the reader's facts need its new numbers.
    fn renew(&mut self) -> Result<bool> {
        let (store, id, now_ms) = (self.store, self.viewer.id, self.now_ms);
        while !self.viewer.fits(self.hot.generation(), day_of(now_ms)) {
            self.viewer = RwLockReadGuard::unlocked(&mut self.hot, || store.viewer(id, now_ms))?;
        }
        Ok(false)
    }

    /// An author's posts with their creation times, newest first, ties by id, highest first. Call [`View::load`] before.
    pub fn posts_of(&self, author: AuthorNo) -> &[(TimestampMs, PostNo)] {
        self.hot.listed(author)
    }

    /// What is known of a post of this view.
    #[inline]
    pub fn facts(&self, post: PostNo) -> Option<&PostFacts> {
        self.hot.facts(post)
    }

    /// A post that was in some place, if it is still in memory.
    #[inline]
    pub fn find_seen(&self, seen: &Seen) -> Option<PostNo> {
        self.hot.find_from(seen.id, seen.place)
    }

    /// A post in memory.
    pub fn find(&self, id: Id) -> Option<PostNo> {
        self.hot.find(id)
    }

    /// The id behind an author's number.
    pub fn author_id(&self, author: AuthorNo) -> Option<Id> {
        self.hot.author_id(author)
    }

    /// The row of a post, removed ones included, straight from the store; `None` for one it never heard of.
    pub fn post_row(&self, post: Id) -> Result<Option<PostRow>> {
        let bytes = self.store.engine.get(Family::Posts, &self.store.keys.one(post))?;
        bytes.map(|bytes| value::decode(Family::Posts, &bytes)).transpose()
    }

    /// Which of these posts the reader's own `likes` rows are about, in the order asked.
    pub fn liked(&self, posts: &[Id]) -> Result<Vec<bool>> {
        if let Some(liked) = posts.iter().map(|post| self.viewer.likes(*post)).collect() {
            return Ok(liked);
        }
        let keys: Vec<_> = posts.iter().map(|post| self.store.keys.two(self.viewer.id, *post)).collect();
        let engine = &self.store.engine;
        let rows =
            if self.may_wait { engine.get_many(Family::Likes, &keys) } else { engine.get_cached(Family::Likes, &keys) };
        rows?
            .iter()
            .map(|row| match row {
                Some(bytes) => Ok(value::decode::<LinkRow>(Family::Likes, bytes)?.removed.is_none()),
                None => Ok(false),
            })
            .collect()
    }
}

/// Facts about posts by id, wherever the ids came from: straight from the store.
impl View<'_> {
    /// The live rows of `likes` and `comments` of these posts, in the order asked; `None` for one the store does not
    /// know.
    pub fn row_counts(&self, posts: &[Id]) -> Result<Vec<Option<RowCounts>>> {
        let keys: Vec<_> = posts.iter().map(|post| self.store.keys.one(*post)).collect();
        let rows = self.store.engine.get_many(Family::Posts, &keys)?;
        let counts = self.store.engine.get_many(Family::PostCounts, &keys)?;
        let one = |row: Option<&[u8]>, counts: Option<&[u8]>| -> Result<Option<RowCounts>> {
            let Some(row) = row else { return Ok(None) };
            if value::decode::<PostRow>(Family::Posts, row)?.live().is_none() {
                return Ok(None);
            }
            counts.map_or(Ok(RowCounts::default()), |bytes| counters::decode(Family::PostCounts, bytes)).map(Some)
        };
        rows.iter().zip(&counts).map(|(row, counts)| one(row.as_deref(), counts.as_deref())).collect()
    }
}

impl Store {
    /// Reads authors into the projection. `apply` waits while a few of them are read, so nothing slips between the read
    /// and the insert.
    pub(crate) fn load_authors(&self, authors: &[Id], now_ms: TimestampMs) -> Result<()> {
        for chunk in authors.chunks(LOAD_CHUNK) {
            // Recursive: an `apply` that waits for the warm-up must not hold up readers who could go on beside it.
            let no_apply = self.writer.read_recursive();
            for author in chunk {
                let posts = hot::load_author(self.source(no_apply.overlay()), *author, now_ms)?;
                let mut hot = self.hot.write();
                hot.now(now_ms);
                hot.put_author(*author, posts);
            }
        }
        self.hot.write().evict();
        Ok(())
    }

    /// Where the projection is filled from.
    pub(crate) fn source<'a>(&'a self, overlay: &'a Overlay) -> hot::Source<'a> {
        hot::Source { engine: &self.engine, keys: self.keys, overlay }
    }

    /// Reads single posts into the projection, and tells which of them there are.
    pub(crate) fn load_posts(&self, posts: &[Id], now_ms: TimestampMs) -> Result<Vec<Id>> {
        let mut there = Vec::new();
        for chunk in posts.chunks(LOAD_CHUNK) {
            let no_apply = self.writer.read_recursive();
            for post in chunk {
                let Some((author, loaded)) = hot::load_post(self.source(no_apply.overlay()), *post, now_ms)? else {
                    continue;
                };
                there.push(*post);
                let mut hot = self.hot.write();
                if !hot.has_post(*post) {
                    hot.add_post(author, loaded);
                }
            }
        }
        Ok(there)
    }
}
