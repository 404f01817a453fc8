//! What the store holds of one user, post or author: for operators, not for requests.

use std::collections::BTreeMap;

use crate::counters::{self, Latest, Partial, RowCounts};
use crate::error::Result;
use crate::hot::AuthorNo;
use crate::key::Family;
use crate::model::{Counters, Day, Hour, Id, TimestampMs, day_of};
use crate::store::Store;
use crate::value::{self, Base, Forgotten, LinkRow, PostRow};
use crate::viewer::AFFINITY_DAYS;

/// Some of many: how many there are, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample<T> {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub first: Vec<T>,
}

impl<T> Sample<T> {
    fn new() -> Self {
        Self { total: 0, first: Vec::new() }
    }

    fn take(&mut self, most: usize, item: T) {
        self.total += 1;
        if self.first.len() < most {
            self.first.push(item);
        }
    }

    fn of(all: Vec<T>, most: usize) -> Self {
        let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
        Self { total, first: all.into_iter().take(most).collect() }
    }
}

/// What a reader did with one author's posts in the days that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WithAuthor {
    /// As this node applied it.
    pub own: Counters,
    /// As the center had it from before.
    pub base: Counters,
}

/// What is kept of a user as a reader.
#[derive(Clone, Debug)]
pub struct UserState {
    /// The row of `users`, removed ones included; `None` where there is none, or the topic is not followed.
    pub row: Option<LinkRow>,
    /// Whether and since when they are forgotten.
    pub forgotten: Option<Forgotten>,
    /// Whom they follow.
    pub follows: Sample<Id>,
    /// Who follows them.
    pub followers: Sample<Id>,
    /// Whom they block.
    pub blocks: Sample<Id>,
    /// Who blocks them.
    pub blocked_by: Sample<Id>,
    /// Posts they like.
    pub likes: Sample<Id>,
    /// Posts they hid, and when.
    pub hides: Sample<(Id, TimestampMs)>,
    /// Posts they viewed of late, and when last; the latest first.
    pub viewed: Sample<(Id, TimestampMs)>,
    /// Authors of whom they did something with posts in 90 days; those with the most events first.
    pub history: Sample<(Id, WithAuthor)>,
    /// How the center's part of that was taken.
    pub base: Option<Base>,
}

/// What is kept of a post.
#[derive(Clone, Debug)]
pub struct PostState {
    /// Its row, removed ones included.
    pub row: Option<PostRow>,
    /// The live rows about it.
    pub counts: RowCounts,
    /// Its hourly counters, ascending.
    pub hours: Vec<(Hour, Counters)>,
}

/// What is kept of a user as an author.
#[derive(Clone, Debug)]
pub struct AuthorState {
    /// Their live posts, newest first, with the times they were written at.
    pub posts: Sample<(Id, TimestampMs)>,
    /// How many of them a feed reads from memory.
    pub in_memory: u64,
    /// Who follows them.
    pub followers: Sample<Id>,
}

impl Store {
    /// A user as a reader; `most` bounds each list.
    pub fn user_state(&self, id: Id, now_ms: TimestampMs, most: usize) -> Result<UserState> {
        let row = self.engine.get(Family::Users, &self.keys.one(id))?;
        let mut viewed = self.seen(Family::Viewed, id)?;
        viewed.sort_by_key(|(post, time)| (std::cmp::Reverse(*time), *post));
        Ok(UserState {
            row: row.map(|bytes| value::decode(Family::Users, &bytes)).transpose()?,
            forgotten: self.forgotten(id)?,
            follows: self.linked(Family::Follows, id, most)?,
            followers: self.linked(Family::Followers, id, most)?,
            blocks: self.linked(Family::Blocks, id, most)?,
            blocked_by: self.linked(Family::BlockedBy, id, most)?,
            likes: self.linked(Family::Likes, id, most)?,
            hides: Sample::of(self.seen(Family::Hides, id)?, most),
            viewed: Sample::of(viewed, most),
            history: Sample::of(self.with_authors(id, day_of(now_ms))?, most),
            base: self.base_of(id)?,
        })
    }

    /// A post.
    pub fn post_state(&self, id: Id) -> Result<PostState> {
        let counts = self.engine.get(Family::PostCounts, &self.keys.one(id))?;
        let mut hours = Vec::new();
        self.engine.scan(Family::PostHours, &self.keys.one(id), |key, bytes| {
            if let Some(hour) = key.last_chunk::<4>() {
                hours.push((Hour::from_be_bytes(*hour), counters::decode(Family::PostHours, bytes)?));
            }
            Ok(true)
        })?;
        let counts = counts.map(|bytes| counters::decode(Family::PostCounts, &bytes)).transpose()?;
        Ok(PostState { row: self.post_row(id)?, counts: counts.unwrap_or_default(), hours })
    }

    /// A user as an author, read into memory as a feed would; `most` bounds each list.
    pub fn author_state(&self, id: Id, now_ms: TimestampMs, most: usize) -> Result<AuthorState> {
        let mut posts = Sample::new();
        self.engine.scan(Family::AuthorPosts, &self.keys.one(id), |key, _| {
            if let Some((_, created_at, post)) = self.keys.split_author_post(key) {
                posts.take(most, (post, created_at));
            }
            Ok(true)
        })?;
        self.load_authors(&[id], now_ms)?;
        let hot = self.hot.read();
        let listed = hot.number_of(id).map_or(0, |author: AuthorNo| hot.listed(author).len());
        let in_memory = u64::try_from(listed).unwrap_or(u64::MAX);
        drop(hot);
        Ok(AuthorState { posts, in_memory, followers: self.linked(Family::Followers, id, most)? })
    }

    /// The live links that begin with an id; of an index every entry is one.
    fn linked(&self, family: Family, id: Id, most: usize) -> Result<Sample<Id>> {
        let mut others = Sample::new();
        self.engine.scan(family, &self.keys.one(id), |key, bytes| {
            let live = bytes.is_empty() || value::decode::<LinkRow>(family, bytes)?.removed.is_none();
            if let Some(([_, other], _)) = self.keys.split::<2>(key).filter(|_| live) {
                others.take(most, other);
            }
            Ok(true)
        })?;
        Ok(others)
    }

    fn seen(&self, family: Family, id: Id) -> Result<Vec<(Id, TimestampMs)>> {
        let mut seen = Vec::new();
        self.engine.scan(family, &self.keys.one(id), |key, bytes| {
            if let Some(([_, post], _)) = self.keys.split::<2>(key) {
                let Latest(time) = counters::decode(family, bytes)?;
                seen.push((post, time));
            }
            Ok(true)
        })?;
        Ok(seen)
    }

    fn with_authors(&self, id: Id, today: Day) -> Result<Vec<(Id, WithAuthor)>> {
        let window = today.saturating_sub(AFFINITY_DAYS - 1)..=today;
        let mut authors: BTreeMap<Id, WithAuthor> = BTreeMap::new();
        for family in [Family::UserAuthorDays, Family::History] {
            self.engine.scan(family, &self.keys.one(id), |key, bytes| {
                let Some(([_, author], rest)) = self.keys.split::<2>(key) else { return Ok(true) };
                let Some(day) = rest.last_chunk::<2>().map(|day| Day::from_be_bytes(*day)) else { return Ok(true) };
                if window.contains(&day) {
                    let partial: Partial = counters::decode(family, bytes)?;
                    let with = authors.entry(author).or_default();
                    let side = if family == Family::History { &mut with.base } else { &mut with.own };
                    side.add(&partial.counters);
                }
                Ok(true)
            })?;
        }
        let mut authors: Vec<_> = authors.into_iter().collect();
        authors.sort_by_key(|(author, with)| (std::cmp::Reverse(events(&with.own) + events(&with.base)), *author));
        Ok(authors)
    }
}

fn events(counters: &Counters) -> u64 {
    [counters.views, counters.impressions, counters.likes, counters.comments, counters.shares]
        .into_iter()
        .map(u64::from)
        .sum()
}
