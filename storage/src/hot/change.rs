//! How the projection changes: interning, inserting, counting, evicting.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{ACTIVE_HOURS, AUTHOR_POSTS_MAX, AuthorNo, AuthorSlot, Hot, HourCounts, LoadedPost, PostFacts, PostNo};
use crate::counters::RowCounts;
use crate::model::{Counters, Hour, Id, TimestampMs, hour_of};
use crate::retention::POST_HOURS_KEPT;

/// Memory of a post with its map entry, without its hours.
const POST_BYTES: usize = size_of::<Option<PostFacts>>() + 44;
/// Memory of an author with its map entry, without its posts.
const AUTHOR_BYTES: usize = size_of::<AuthorSlot>() + 40;
const HOUR_BYTES: usize = size_of::<HourCounts>();
const LISTED_BYTES: usize = size_of::<(TimestampMs, PostNo)>();

impl Hot {
    /// The number of an author, given out at first sight.
    pub(crate) fn intern(&mut self, author: Id) -> AuthorNo {
        if let Some(number) = self.author_numbers.get(&author) {
            return *number;
        }
        let number = AuthorNo(u32::try_from(self.authors.len()).unwrap_or(u32::MAX));
        self.authors.push(AuthorSlot { id: author, loaded: false, used: AtomicBool::new(true), posts: Vec::new() });
        self.author_numbers.insert(author, number);
        self.bytes += AUTHOR_BYTES;
        number
    }

    /// Puts an author's posts in place (newest first, as loaded) and marks the author loaded.
    pub(crate) fn put_author(&mut self, author: Id, posts: Vec<LoadedPost>) {
        let number = self.intern(author);
        let listed: Vec<(TimestampMs, PostNo)> =
            posts.into_iter().map(|post| (post.created_at, self.put_post(number, post))).collect();
        self.bytes += listed.len() * LISTED_BYTES;
        let slot = &mut self.authors[number.0 as usize];
        self.bytes -= slot.posts.len() * LISTED_BYTES;
        slot.posts = listed;
        slot.loaded = true;
        slot.used.store(true, Ordering::Relaxed);
    }

    /// Puts one post in place, instead of what was known of it. Returns its slot.
    pub(crate) fn put_post(&mut self, author: AuthorNo, post: LoadedPost) -> PostNo {
        let hours = post.hours.len() * HOUR_BYTES;
        let mut facts = PostFacts {
            id: post.id,
            author,
            created_at: post.created_at,
            likes: post.counts.likes,
            comments: post.counts.comments,
            hours: post.hours,
            recent: HourCounts::new(0, &Counters::default()),
            newest: 0,
        };
        facts.sum_up(self.hour);
        self.bytes += hours;
        let slot = *self.post_numbers.entry(post.id).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.posts.push(None);
                PostNo(u32::try_from(self.posts.len() - 1).unwrap_or(u32::MAX))
            })
        });
        match self.posts[slot.0 as usize].replace(facts) {
            Some(old) => self.bytes -= old.hours.len() * HOUR_BYTES,
            None => self.bytes += POST_BYTES,
        }
        self.changes.note(slot);
        slot
    }

    /// Puts in place what is counted of a post.
    pub(super) fn set_counted(&mut self, slot: PostNo, rows: RowCounts, hours: Vec<HourCounts>) {
        let Some(facts) = &mut self.posts[slot.0 as usize] else { return };
        (facts.likes, facts.comments) = (rows.likes, rows.comments);
        self.bytes += hours.len() * HOUR_BYTES;
        self.bytes -= facts.hours.len() * HOUR_BYTES;
        facts.hours = hours;
        facts.sum_up(self.hour);
        self.changes.note(slot);
    }

    /// Makes place for so many posts at once, as far as half of the budget goes; see [`Hot::give_back`].
    pub(super) fn expect(&mut self, posts: usize) {
        let posts = posts.min(self.budget / 2 / POST_BYTES);
        self.posts.reserve(posts);
        self.post_numbers.reserve(posts);
        self.changes.expect(posts);
    }

    /// Gives back the place that was made for more than came, where it is in use all the same: what a map has lies all over it.
    pub(super) fn give_back(&mut self) {
        self.post_numbers.shrink_to_fit();
    }

    /// Whether more authors fit, where so many hours are still to come: these may have half of the budget. Of the authors
    /// themselves there may be half as many as [`Hot::evict`] bears.
    pub(super) fn has_room_before(&self, hours: usize) -> bool {
        let to_come = hours.saturating_mul(HOUR_BYTES).min(self.budget / 2);
        self.bytes.saturating_add(to_come) < self.budget
            && self.authors.len().saturating_mul(AUTHOR_BYTES) < self.budget / 4
    }

    /// A row of `posts` changed: it is now live with this author and time, or not there for readers. A post that is not
    /// here stays away; see [`Hot::add_post`].
    pub(crate) fn post_changed(&mut self, id: Id, live: Option<(Id, TimestampMs)>) {
        self.note(id);
        self.unlist(id);
        let Some((author, created_at)) = live else {
            self.drop_post(id);
            return;
        };
        let Some(&slot) = self.post_numbers.get(&id) else { return };
        let number = self.intern(author);
        if let Some(facts) = &mut self.posts[slot.0 as usize] {
            facts.author = number;
            facts.created_at = created_at;
            self.changes.note(slot);
        }
        if self.is_loaded(number) {
            self.list(number, created_at, id, slot);
        }
    }

    /// Takes in one post read from the store.
    pub(crate) fn add_post(&mut self, author: Id, post: LoadedPost) {
        let (id, created_at) = (post.id, post.created_at);
        // From the list of whoever was known as its author.
        self.unlist(id);
        let number = self.intern(author);
        let slot = self.put_post(number, post);
        if self.is_loaded(number) {
            self.list(number, created_at, id, slot);
        }
    }

    /// Takes a post out of its author's list.
    fn unlist(&mut self, id: Id) {
        let Some(&slot) = self.post_numbers.get(&id) else { return };
        let Some(author) = self.facts(slot).map(PostFacts::author) else { return };
        let posts = &mut self.authors[author.0 as usize].posts;
        if let Some(at) = posts.iter().position(|(_, listed)| *listed == slot) {
            posts.remove(at);
            self.bytes -= LISTED_BYTES;
        }
    }

    fn list(&mut self, author: AuthorNo, created_at: TimestampMs, id: Id, slot: PostNo) {
        let order = |listed: &(TimestampMs, PostNo)| {
            let other = self.facts(listed.1).map_or(Id(0), PostFacts::id);
            (created_at, id).cmp(&(listed.0, other))
        };
        let posts = &self.authors[author.0 as usize].posts;
        let at = posts.binary_search_by(order).unwrap_or_else(|at| at);
        if at >= AUTHOR_POSTS_MAX {
            return;
        }
        let posts = &mut self.authors[author.0 as usize].posts;
        posts.insert(at, (created_at, slot));
        self.bytes += LISTED_BYTES;
        if posts.len() > AUTHOR_POSTS_MAX {
            posts.pop();
            self.bytes -= LISTED_BYTES;
        }
    }

    fn drop_post(&mut self, id: Id) {
        let Some(slot) = self.post_numbers.remove(&id) else { return };
        if let Some(facts) = self.posts[slot.0 as usize].take() {
            self.bytes -= POST_BYTES + facts.hours.len() * HOUR_BYTES;
        }
        self.changes.note(slot);
        self.free.push(slot);
    }

    /// Whether a post is here.
    pub(crate) fn has_post(&self, id: Id) -> bool {
        self.post_numbers.contains_key(&id)
    }

    /// Adds to the row counts of a post, if it is here.
    pub(crate) fn add_rows(&mut self, id: Id, likes: i64, comments: i64) {
        self.note(id);
        let Some(&slot) = self.post_numbers.get(&id) else { return };
        if let Some(facts) = &mut self.posts[slot.0 as usize] {
            facts.likes += likes;
            facts.comments += comments;
            self.changes.note(slot);
        }
    }

    /// Adds events to an hour of a post, if it is here.
    pub(crate) fn add_events(&mut self, id: Id, hour: Hour, counters: &Counters) {
        self.note(id);
        let Some(&slot) = self.post_numbers.get(&id) else { return };
        let Some(facts) = &mut self.posts[slot.0 as usize] else { return };
        let at = match facts.hours.binary_search_by_key(&hour, |counts| counts.hour) {
            Ok(at) => at,
            Err(at) => {
                facts.hours.insert(at, HourCounts::new(hour, &Counters::default()));
                self.bytes += HOUR_BYTES;
                at
            }
        };
        facts.hours[at].add(counters);
        facts.sum_up(self.hour);
        self.changes.note(slot);
    }

    /// Takes events that were added before off an hour of a post, if it is here.
    pub(crate) fn take_events(&mut self, id: Id, hour: Hour, counters: &Counters) {
        self.note(id);
        let Some(&slot) = self.post_numbers.get(&id) else { return };
        let Some(facts) = &mut self.posts[slot.0 as usize] else { return };
        let Ok(at) = facts.hours.binary_search_by_key(&hour, |counts| counts.hour) else { return };
        facts.hours[at].take(counters);
        if facts.hours[at] == HourCounts::new(hour, &Counters::default()) {
            facts.hours.remove(at);
            self.bytes -= HOUR_BYTES;
        }
        facts.sum_up(self.hour);
        self.changes.note(slot);
    }

    /// Says which hour runs.
    pub(crate) fn now(&mut self, now_ms: TimestampMs) {
        self.hour = hour_of(now_ms);
    }

    /// Throws everything away: numbers are given out anew, and everything is read again when it is asked for.
    pub(crate) fn start_over(&mut self) {
        self.note_anything();
        let followed = self.followed.take();
        *self = Self { followed, ..Self::new(self.budget, self.generation.wrapping_add(1)) };
    }

    /// Takes what was read in as a whole, under numbers of a new generation.
    pub(crate) fn replace(&mut self, loaded: Self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..loaded };
    }

    /// Whether it started over since it was last read in as a whole: posts that only trending needs are missing.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial
    }

    /// Drops authors not read lately until the budget holds. What belongs to no loaded author is not theirs to make room
    /// for: they always have half of the budget.
    pub(crate) fn evict(&mut self) {
        if self.authors.len().saturating_mul(AUTHOR_BYTES) > self.budget / 2 {
            // Only a stream of ever new authors comes here.
            self.start_over();
            return;
        }
        let most = self.budget.max(self.unlisted_bytes + self.budget / 2);
        let mut steps = self.authors.len() * 2;
        while self.bytes > most && steps > 0 {
            steps -= 1;
            let at = self.hand % self.authors.len();
            self.hand = at + 1;
            let slot = &mut self.authors[at];
            if slot.loaded && !slot.used.swap(false, Ordering::Relaxed) {
                self.unload(at);
            }
        }
    }

    /// Measures what is kept for trending alone and, where it takes more than half of the budget, drops the posts with
    /// the fewest events of late.
    pub(crate) fn shed(&mut self) {
        let mut fewest = 0;
        loop {
            let unlisted = self.unlisted();
            self.unlisted_bytes = unlisted.iter().map(|(_, _, bytes)| bytes).sum();
            if self.unlisted_bytes <= self.budget / 2 {
                return;
            }
            fewest = fewest * 2 + 1;
            for (id, events, _) in unlisted {
                if events <= fewest {
                    self.drop_post(id);
                }
            }
        }
    }

    /// Posts in no loaded author's list: id, events held, bytes.
    fn unlisted(&self) -> Vec<(Id, u64, usize)> {
        let loaded = |facts: &&PostFacts| !self.is_loaded(facts.author);
        let describe = |facts: &PostFacts| {
            let events = facts.hours.iter().map(|hour| u64::from(hour.views) + u64::from(hour.likes) + 1).sum();
            (facts.id, events, POST_BYTES + facts.hours.len() * HOUR_BYTES)
        };
        self.posts.iter().flatten().filter(loaded).map(describe).collect()
    }

    /// Posts with recent events stay, for trending; [`Hot::age`] and [`Hot::shed`] deal with them.
    fn unload(&mut self, author: usize) {
        let slot = &mut self.authors[author];
        slot.loaded = false;
        let posts = std::mem::take(&mut slot.posts);
        self.bytes -= posts.len() * LISTED_BYTES;
        for (_, slot) in posts {
            let Some(facts) = self.facts(slot) else { continue };
            let (id, bytes) = (facts.id, POST_BYTES + facts.hours.len() * HOUR_BYTES);
            if facts.active_since(self.active) {
                self.unlisted_bytes += bytes;
            } else {
                self.drop_post(id);
            }
        }
    }

    /// Forgets what has left every window, over a range of slots: posts past their age, hours past theirs. What stays is
    /// summed up to the hour that runs.
    /// Returns whether there are slots behind the range.
    pub(crate) fn age(&mut self, slots: std::ops::Range<usize>, now_ms: TimestampMs) -> bool {
        let oldest = now_ms.saturating_sub(super::POST_AGE_KEPT_MS);
        let hour = hour_of(now_ms);
        self.active = hour.saturating_sub(ACTIVE_HOURS);
        self.hour = hour;
        let end = slots.end.min(self.posts.len());
        for slot in slots.start..end {
            let Some(facts) = &mut self.posts[slot] else { continue };
            let before = facts.hours.len();
            facts.hours.retain(|counts| counts.hour.saturating_add(POST_HOURS_KEPT) >= hour);
            self.bytes -= (before - facts.hours.len()) * HOUR_BYTES;
            if facts.hours.len() < before || facts.recent.hour != hour {
                facts.sum_up(hour);
            }
            if facts.hours.len() < before {
                self.changes.note(PostNo(u32::try_from(slot).unwrap_or(u32::MAX)));
            }
            if facts.created_at < oldest && !facts.active_since(self.active) {
                let id = facts.id;
                self.unlist(id);
                self.drop_post(id);
            }
        }
        end < self.posts.len()
    }
}

impl HourCounts {
    pub(super) fn new(hour: Hour, counters: &Counters) -> Self {
        Self {
            hour,
            views: counters.views,
            impressions: counters.impressions,
            likes: counters.likes,
            comments: counters.comments,
            shares: counters.shares,
        }
    }

    fn add(&mut self, counters: &Counters) {
        let mut sum = self.counters();
        sum.add(counters);
        *self = Self::new(self.hour, &sum);
    }

    fn take(&mut self, counters: &Counters) {
        let mut sum = self.counters();
        sum.take(counters);
        *self = Self::new(self.hour, &sum);
    }

    /// Adds hours of another source, both ascending, to these.
    pub(super) fn merge(hours: &mut Vec<Self>, others: impl Iterator<Item = (Hour, Counters)>) {
        for (hour, counters) in others {
            match hours.binary_search_by_key(&hour, |counts| counts.hour) {
                Ok(at) => hours[at].add(&counters),
                Err(at) => hours.insert(at, Self::new(hour, &counters)),
            }
        }
    }
}
