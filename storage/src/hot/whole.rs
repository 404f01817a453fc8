//! Everything read into the projection at once, after a start: each family in one pass, and nothing beside the projection
//! itself in memory. Far cheaper than author by author.
//!
//! Half of the time goes into waiting for memory, as posts lie there by author and their counts on disk by post: so each
//! post is looked up once, and those of a batch together, which the processor does side by side.

use super::{ACTIVE_HOURS, AUTHOR_POSTS_MAX, Hot, HourCounts, LoadedPost, POST_AGE_KEPT_MS, PostNo, Source, load};
use crate::counters::{self, RowCounts};
use crate::engine::Cursor;
use crate::error::Result;
use crate::key::{Family, Keys};
use crate::model::{Hour, Id, TimestampMs, hour_of};
use crate::retention::POST_HOURS_KEPT;

/// Posts whose counts are put in place together.
const BATCH: usize = 64;

/// What is counted of one post.
struct Counted {
    post: Id,
    rows: RowCounts,
    hours: Vec<HourCounts>,
}

impl Hot {
    /// Reads everything that fits. What changes meanwhile has to be read once more.
    pub(crate) fn load_all(source: Source<'_>, budget: usize, now_ms: TimestampMs) -> Result<Self> {
        let mut hot = Self::new(budget, 0);
        hot.begin(now_ms);
        hot.load_lists(source, now_ms)?;
        hot.load_counted(source, now_ms)?;
        for post in source.overlay.posts() {
            hot.renew(source, post, now_ms)?;
        }
        hot.make_room(now_ms);
        hot.give_back();
        // Where so many authors came by that it had to start over, posts that only trending needs are missing.
        hot.partial = hot.generation > 0;
        Ok(hot)
    }

    fn begin(&mut self, now_ms: TimestampMs) {
        self.active = hour_of(now_ms).saturating_sub(ACTIVE_HOURS);
        self.now(now_ms);
    }

    /// Every author's newest posts, of which nothing is counted yet.
    fn load_lists(&mut self, source: Source<'_>, now_ms: TimestampMs) -> Result<()> {
        let Source { engine, keys, .. } = source;
        let entries = |family| -> Result<usize> {
            let estimate = engine.property(family, "rocksdb.estimate-num-keys")?;
            Ok(usize::try_from(estimate).unwrap_or(usize::MAX))
        };
        self.expect(entries(Family::AuthorPosts)?);
        let hours = entries(Family::PostHours)?;
        let fits = |hot: &Self| hot.has_room_before(hours);
        let mut author: Option<(Id, Vec<LoadedPost>)> = None;
        engine.sweep(Family::AuthorPosts, |key, _| {
            let Some((id, created_at, post)) = keys.split_author_post(key) else { return Ok(true) };
            if author.as_ref().is_none_or(|(current, _)| *current != id)
                && let Some((id, posts)) = author.replace((id, Vec::new()))
            {
                self.put_author(id, posts);
            }
            let Some((_, posts)) = &mut author else { return Ok(true) };
            if created_at >= now_ms.saturating_sub(POST_AGE_KEPT_MS) && posts.len() < AUTHOR_POSTS_MAX {
                posts.push(LoadedPost { id: post, created_at, counts: RowCounts::default(), hours: Vec::new() });
            }
            Ok(fits(self))
        })?;
        // The last author; incomplete, and so left to be loaded when asked for, where the budget cut the pass short.
        if let Some((id, posts)) = author.filter(|_| fits(self)) {
            self.put_author(id, posts);
        }
        Ok(())
    }

    /// What is counted of each post, and the posts that no author brought but that have events of late.
    fn load_counted(&mut self, source: Source<'_>, now_ms: TimestampMs) -> Result<()> {
        let mut counted = AllCounted::open(source, now_ms)?;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            while batch.len() < BATCH
                && let Some(next) = counted.next()?
            {
                batch.push(next);
            }
            if batch.is_empty() {
                return Ok(());
            }
            self.put_counted(source, &mut batch)?;
            if self.bytes > self.budget.saturating_add(self.budget / 4) {
                self.make_room(now_ms);
            }
        }
    }

    fn put_counted(&mut self, source: Source<'_>, batch: &mut Vec<Counted>) -> Result<()> {
        let places: [Option<PostNo>; BATCH] =
            std::array::from_fn(|at| batch.get(at).and_then(|counted| self.find(counted.post)));
        for (Counted { post, rows, hours }, place) in batch.drain(..).zip(places) {
            if let Some(place) = place {
                self.set_counted(place, rows, hours);
            } else if hours.last().is_some_and(|counts| counts.hour >= self.active)
                && let Some((author, created_at)) = load::live_row(source, post)?
            {
                self.add_post(author, LoadedPost { id: post, created_at, counts: rows, hours });
            }
        }
        Ok(())
    }

    fn make_room(&mut self, now_ms: TimestampMs) {
        self.shed();
        self.evict();
        // It may have started over.
        self.begin(now_ms);
    }
}

/// Two families that go by post, read side by side.
struct AllCounted<'a> {
    keys: Keys,
    /// The hours that are kept.
    kept: std::ops::RangeInclusive<Hour>,
    hours: Cursor<'a>,
    rows: Cursor<'a>,
    next_rows: Option<(Id, RowCounts)>,
    next_hour: Option<(Id, HourCounts)>,
}

impl<'a> AllCounted<'a> {
    fn open(source: Source<'a>, now_ms: TimestampMs) -> Result<Self> {
        let now = hour_of(now_ms);
        let mut all = Self {
            keys: source.keys,
            kept: now.saturating_sub(POST_HOURS_KEPT)..=now + 1,
            hours: source.engine.pass(Family::PostHours)?,
            rows: source.engine.pass(Family::PostCounts)?,
            next_rows: None,
            next_hour: None,
        };
        all.next_rows = all.read_rows()?;
        all.next_hour = all.read_hour()?;
        Ok(all)
    }

    fn next(&mut self) -> Result<Option<Counted>> {
        let posts = [self.next_rows.map(|(post, _)| post), self.next_hour.map(|(post, _)| post)];
        let Some(post) = posts.into_iter().flatten().min() else { return Ok(None) };
        let mut counted = Counted { post, rows: RowCounts::default(), hours: Vec::new() };
        if let Some((_, rows)) = self.next_rows.take_if(|(of, _)| *of == post) {
            counted.rows = rows;
            self.next_rows = self.read_rows()?;
        }
        while let Some((_, hour)) = self.next_hour.take_if(|(of, _)| *of == post) {
            counted.hours.push(hour);
            self.next_hour = self.read_hour()?;
        }
        counted.hours.shrink_to_fit();
        Ok(Some(counted))
    }

    fn read_rows(&mut self) -> Result<Option<(Id, RowCounts)>> {
        let keys = self.keys;
        self.rows.find_next(|key, bytes| {
            let Some(([post], _)) = keys.split::<1>(key) else { return Ok(None) };
            Ok(Some((post, counters::decode(Family::PostCounts, bytes)?)))
        })
    }

    fn read_hour(&mut self) -> Result<Option<(Id, HourCounts)>> {
        let (keys, kept) = (self.keys, self.kept.clone());
        self.hours.find_next(|key, bytes| {
            Ok(load::read_hour(keys, key, bytes)?.filter(|(_, counts)| kept.contains(&counts.hour)))
        })
    }
}
