//! The hot projection: what ranking reads of posts, in memory and bounded by bytes.
//!
//! Per author the newest posts, per post its row counts and hourly counters, ids interned to small ordinals. It holds
//! no truth: an author is loaded from the store when first asked for ([`load`]), kept current by `apply` ([`change`])
//! and dropped again when memory runs short. A request would otherwise cost hundreds of point reads.

mod change;
mod changed;
mod follow;
mod load;
#[cfg(test)]
mod tests;
mod whole;

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;

use crate::model::{Counters, DAY_MS, HOUR_MS, Hour, Id, TimestampMs};
use changed::Changes;
use follow::Followed;

pub(crate) use changed::Look;
pub(crate) use load::{LoadedPost, Source, load_author, load_post};

/// The oldest posts any candidate source looks at, with an hour's margin.
pub(crate) const POST_AGE_KEPT_MS: i64 = 14 * DAY_MS + HOUR_MS;
/// The newest posts of one author that are kept.
pub(crate) const AUTHOR_POSTS_MAX: usize = 2_000;
/// A post with an event in this many hours stays in memory, whoever wrote it: trending looks at all of them, for seven
/// days at the longest.
pub(crate) const ACTIVE_HOURS: u32 = 7 * 24;
/// Hours whose sum stands ready beside each post: those that ranking looks at unless it is configured otherwise.
const SUMMED_HOURS: u32 = 24;

/// An author's number in the projection. Valid within one generation of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorNo(pub(crate) u32);

impl From<u32> for AuthorNo {
    /// For tests of what orders authors; a store gives its numbers out itself.
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<AuthorNo> for u32 {
    /// For keeping beside others of the same view, to tell them apart.
    fn from(author: AuthorNo) -> Self {
        author.0
    }
}

/// A post's place in the projection. Valid as long as the view it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostNo(u32);

impl From<u32> for PostNo {
    /// For what was kept by [`u32::from`]: where to look first, in [`Seen`](crate::Seen).
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<PostNo> for u32 {
    fn from(post: PostNo) -> Self {
        post.0
    }
}

/// Events about one post in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HourCounts {
    pub(crate) hour: Hour,
    pub(crate) views: u32,
    pub(crate) impressions: u32,
    pub(crate) likes: u32,
    pub(crate) comments: u32,
    pub(crate) shares: u32,
}

impl HourCounts {
    fn counters(&self) -> Counters {
        Counters {
            views: self.views,
            impressions: self.impressions,
            likes: self.likes,
            comments: self.comments,
            shares: self.shares,
            // Nothing that reads the projection asks for dwell time: the store has it.
            dwell_ms: 0,
        }
    }
}

/// What is known of one post.
#[derive(Debug)]
pub struct PostFacts {
    id: Id,
    author: AuthorNo,
    created_at: TimestampMs,
    likes: i64,
    comments: i64,
    /// By hour, ascending.
    hours: Vec<HourCounts>,
    /// The sum of the [`SUMMED_HOURS`] that end with its hour. A page asks every candidate for it, and `hours` lies
    /// elsewhere in memory: a walk there costs more than all the arithmetic of a score.
    recent: HourCounts,
    /// The hour of the last of `hours`; 0 where there is none.
    newest: Hour,
}

impl PostFacts {
    /// The post.
    #[inline]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Its author's number.
    #[inline]
    pub fn author(&self) -> AuthorNo {
        self.author
    }

    /// When it was written.
    #[inline]
    pub fn created_at(&self) -> TimestampMs {
        self.created_at
    }

    /// Live rows of `likes`.
    pub fn like_count(&self) -> u64 {
        u64::try_from(self.likes).unwrap_or(0)
    }

    /// Live rows of `comments`.
    pub fn comment_count(&self) -> u64 {
        u64::try_from(self.comments).unwrap_or(0)
    }

    /// The hourly counters from hour `first` to hour `last`, both included, ascending. `dwell_ms` is not kept here.
    pub fn hours(&self, first: Hour, last: Hour) -> impl Iterator<Item = (Hour, Counters)> + '_ {
        let hours = if self.newest < first { &[] } else { self.hours.as_slice() };
        hours
            .iter()
            .filter(move |counts| (first..=last).contains(&counts.hour))
            .map(|counts| (counts.hour, counts.counters()))
    }

    /// The sum of the hourly counters from hour `first` to hour `last`, both included. `dwell_ms` is not kept here.
    #[inline]
    pub fn sum(&self, first: Hour, last: Hour) -> Counters {
        if last == self.recent.hour && first.saturating_add(SUMMED_HOURS - 1) == last {
            return self.recent.counters();
        }
        self.walk(first, last)
    }

    /// [`PostFacts::sum`] of any hours.
    fn walk(&self, first: Hour, last: Hour) -> Counters {
        let mut sum = Counters::default();
        // The newest hours are asked for, and they stand last.
        let newest_first = self.hours.iter().rev().filter(|_| self.newest >= first);
        for counts in newest_first.skip_while(|counts| counts.hour > last) {
            if counts.hour < first {
                break;
            }
            sum.views = sum.views.saturating_add(counts.views);
            sum.impressions = sum.impressions.saturating_add(counts.impressions);
            sum.likes = sum.likes.saturating_add(counts.likes);
            sum.comments = sum.comments.saturating_add(counts.comments);
            sum.shares = sum.shares.saturating_add(counts.shares);
        }
        sum
    }

    /// To be called after every change to `hours`, and when the hour that runs is another.
    fn sum_up(&mut self, hour: Hour) {
        self.newest = self.hours.last().map_or(0, |counts| counts.hour);
        self.recent = HourCounts::new(hour, &self.walk(hour.saturating_sub(SUMMED_HOURS - 1), hour));
    }

    fn active_since(&self, first: Hour) -> bool {
        !self.hours.is_empty() && self.newest >= first
    }
}

/// One author's place in the projection.
#[derive(Debug)]
struct AuthorSlot {
    id: Id,
    /// Whether `posts` is all the store has (within age and number).
    loaded: bool,
    /// Read since the eviction hand passed.
    used: AtomicBool,
    /// Newest first, ties by id, highest first.
    posts: Vec<(TimestampMs, PostNo)>,
}

/// The projection. Readers share it under a lock; `apply` is its one writer.
#[derive(Debug)]
pub(crate) struct Hot {
    generation: u32,
    budget: usize,
    bytes: usize,
    /// Of them, posts that belong to no loaded author: as of the last [`Hot::shed`] and what was unloaded since.
    unlisted_bytes: usize,
    /// The first hour whose events keep a post for trending.
    active: Hour,
    /// The hour that ran when this was last changed: sums that stand ready end with it, or with one before.
    hour: Hour,
    partial: bool,
    /// What changed since the store is being read anew beside this.
    followed: Option<Followed>,
    /// When each slot last changed, for those who look at all of them again and again.
    changes: Changes,
    author_numbers: HashMap<Id, AuthorNo>,
    authors: Vec<AuthorSlot>,
    post_numbers: HashMap<Id, PostNo>,
    posts: Vec<Option<PostFacts>>,
    free: Vec<PostNo>,
    hand: usize,
}

impl Hot {
    pub(crate) fn new(budget: usize, generation: u32) -> Self {
        Self {
            generation,
            budget,
            bytes: 0,
            unlisted_bytes: 0,
            active: 0,
            hour: 0,
            partial: true,
            followed: None,
            changes: Changes::default(),
            author_numbers: HashMap::new(),
            authors: Vec::new(),
            post_numbers: HashMap::new(),
            posts: Vec::new(),
            free: Vec::new(),
            hand: 0,
        }
    }

    /// Counts up whenever author numbers are given out anew.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Bytes held, by estimate.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Posts held.
    pub(crate) fn post_count(&self) -> usize {
        self.post_numbers.len()
    }

    /// One past the highest slot ever used; see [`Hot::slot`].
    pub(crate) fn slots(&self) -> usize {
        self.posts.len()
    }

    /// The post in a slot, if any: for passes over everything.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> Option<&PostFacts> {
        self.posts.get(slot)?.as_ref()
    }

    /// What is known of a post.
    #[inline]
    pub(crate) fn facts(&self, post: PostNo) -> Option<&PostFacts> {
        self.slot(post.0 as usize)
    }

    pub(crate) fn find(&self, id: Id) -> Option<PostNo> {
        self.post_numbers.get(&id).copied()
    }

    /// The same for a post that was in some place a while ago, where it most likely still is.
    pub(crate) fn find_from(&self, id: Id, place: PostNo) -> Option<PostNo> {
        let there = self.facts(place).is_some_and(|facts| facts.id == id);
        if there { Some(place) } else { self.find(id) }
    }

    pub(crate) fn author_id(&self, author: AuthorNo) -> Option<Id> {
        Some(self.authors.get(author.0 as usize)?.id)
    }

    pub(crate) fn number_of(&self, author: Id) -> Option<AuthorNo> {
        self.author_numbers.get(&author).copied()
    }

    /// Whether an author is loaded; if so, it counts as read, and the eviction hand passes it by once.
    pub(crate) fn wants(&self, author: AuthorNo) -> bool {
        let slot = self.authors.get(author.0 as usize).filter(|slot| slot.loaded);
        if let Some(slot) = slot {
            slot.used.store(true, Ordering::Relaxed);
        }
        slot.is_some()
    }

    pub(crate) fn is_loaded(&self, author: AuthorNo) -> bool {
        self.authors.get(author.0 as usize).is_some_and(|slot| slot.loaded)
    }

    /// An author's posts with their times, newest first. Empty for one that is not loaded.
    pub(crate) fn listed(&self, author: AuthorNo) -> &[(TimestampMs, PostNo)] {
        self.authors.get(author.0 as usize).filter(|slot| slot.loaded).map_or(&[], |slot| &slot.posts)
    }
}
