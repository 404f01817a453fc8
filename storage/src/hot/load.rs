//! Reads into the projection: one post, one author, or everything at once after a start.

use hashbrown::HashMap;

use super::{ACTIVE_HOURS, AUTHOR_POSTS_MAX, Hot, HourCounts, POST_AGE_KEPT_MS};
use crate::counters::{self, RowCounts};
use crate::engine::Engine;
use crate::error::Result;
use crate::key::{Family, Keys};
use crate::model::{Hour, Id, TimestampMs, hour_of};
use crate::retention::POST_HOURS_KEPT;
use crate::spool::Overlay;
use crate::value::{self, PostRow};

/// One post as the store has it.
#[derive(Debug)]
pub(crate) struct LoadedPost {
    pub(crate) id: Id,
    pub(crate) created_at: TimestampMs,
    pub(crate) counts: RowCounts,
    pub(crate) hours: Vec<HourCounts>,
}

/// Where posts are read from: the store, and what is spooled on top of it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) keys: Keys,
    pub(crate) overlay: &'a Overlay,
}

/// Reads posts of known creation times.
fn read_posts(source: Source<'_>, posts: &[(Id, TimestampMs)], now_ms: TimestampMs) -> Result<Vec<LoadedPost>> {
    let Source { engine, keys, overlay } = source;
    let ids: Vec<_> = posts.iter().map(|(post, _)| keys.one(*post)).collect();
    let counts = engine.get_many(Family::PostCounts, &ids)?;
    let counts = counts.iter().map(|held| match held {
        Some(bytes) => counters::decode(Family::PostCounts, bytes),
        None => Ok(RowCounts::default()),
    });
    let oldest = hour_of(now_ms).saturating_sub(POST_HOURS_KEPT);
    let mut all_hours = engine.cursor(Family::PostHours)?;
    let one = |(&(id, created_at), counts): (&(Id, TimestampMs), Result<RowCounts>)| {
        let mut hours = Vec::new();
        all_hours.scan_from(&keys.one(id), &keys.post_hour(id, oldest), |key, bytes| {
            hours.extend(read_hour(keys, key, bytes)?.map(|(_, counts)| counts));
            Ok(true)
        })?;
        HourCounts::merge(&mut hours, overlay.hours_of(id, oldest));
        hours.shrink_to_fit();
        Ok(LoadedPost { id, created_at, counts: counts?, hours })
    };
    posts.iter().zip(counts).map(one).collect()
}

fn read_hour(keys: Keys, key: &[u8], bytes: &[u8]) -> Result<Option<(Id, HourCounts)>> {
    let Some(([post], rest)) = keys.split::<1>(key) else { return Ok(None) };
    let Some(hour) = rest.first_chunk::<4>() else { return Ok(None) };
    let counts = counters::decode(Family::PostHours, bytes)?;
    Ok(Some((post, HourCounts::new(Hour::from_be_bytes(*hour), &counts))))
}

/// Reads a live post and its author; `None` when there is none.
pub(crate) fn load_post(source: Source<'_>, id: Id, now_ms: TimestampMs) -> Result<Option<(Id, LoadedPost)>> {
    let Some(bytes) = source.engine.get(Family::Posts, &source.keys.one(id))? else { return Ok(None) };
    let row: PostRow = value::decode(Family::Posts, &bytes)?;
    let Some((author, created_at)) = row.live() else { return Ok(None) };
    Ok(read_posts(source, &[(id, created_at)], now_ms)?.pop().map(|post| (author, post)))
}

/// Reads an author's newest posts.
pub(crate) fn load_author(source: Source<'_>, author: Id, now_ms: TimestampMs) -> Result<Vec<LoadedPost>> {
    let Source { engine, keys, .. } = source;
    let mut found = Vec::new();
    engine.scan(Family::AuthorPosts, &keys.one(author), |key, _| {
        if let Some((_, created_at, post)) = keys.split_author_post(key) {
            if created_at < now_ms.saturating_sub(POST_AGE_KEPT_MS) {
                return Ok(false);
            }
            found.push((post, created_at));
        }
        Ok(found.len() < AUTHOR_POSTS_MAX)
    })?;
    read_posts(source, &found, now_ms)
}

impl LoadedPost {
    /// Whether trending may need it.
    pub(crate) fn is_active(&self, now_ms: TimestampMs) -> bool {
        let first = hour_of(now_ms).saturating_sub(ACTIVE_HOURS);
        self.hours.last().is_some_and(|counts| counts.hour >= first)
    }
}

impl Hot {
    /// Reads everything that fits, in three sequential passes: far cheaper than author by author. What changes meanwhile
    /// has to be read once more.
    pub(crate) fn load_all(source: Source<'_>, budget: usize, now_ms: TimestampMs) -> Result<Self> {
        let Source { engine, keys, .. } = source;
        let mut hot = Self::new(budget, 0);
        hot.active = hour_of(now_ms).saturating_sub(ACTIVE_HOURS);
        hot.now(now_ms);
        let mut hours = read_all_hours(source, now_ms)?;
        let mut author: Option<(Id, Vec<LoadedPost>)> = None;
        engine.sweep(Family::AuthorPosts, |key, _| {
            let Some((id, created_at, post)) = keys.split_author_post(key) else { return Ok(true) };
            if author.as_ref().is_none_or(|(current, _)| *current != id)
                && let Some((id, posts)) = author.replace((id, Vec::new()))
            {
                hot.put_author(id, posts);
            }
            let Some((_, posts)) = &mut author else { return Ok(true) };
            if created_at >= now_ms.saturating_sub(POST_AGE_KEPT_MS) && posts.len() < AUTHOR_POSTS_MAX {
                let hours = hours.remove(&post).unwrap_or_default();
                posts.push(LoadedPost { id: post, created_at, counts: RowCounts::default(), hours });
            }
            Ok(hot.bytes < budget)
        })?;
        // The last author; incomplete, and so left to be loaded when asked for, where the budget cut the pass short.
        if let Some((id, posts)) = author.filter(|_| hot.bytes < budget) {
            hot.put_author(id, posts);
        }
        hot.load_counts(engine, keys)?;
        hot.load_active(source, hours, now_ms)?;
        hot.partial = false;
        hot.shed();
        Ok(hot)
    }

    fn load_counts(&mut self, engine: &Engine, keys: Keys) -> Result<()> {
        engine.sweep(Family::PostCounts, |key, bytes| {
            if let Some(([post], _)) = keys.split::<1>(key) {
                let counts: RowCounts = counters::decode(Family::PostCounts, bytes)?;
                self.add_rows(post, counts.likes, counts.comments);
            }
            Ok(true)
        })
    }

    /// Posts that no author brought but that have events of late.
    fn load_active(
        &mut self,
        source: Source<'_>,
        hours: HashMap<Id, Vec<HourCounts>>,
        now_ms: TimestampMs,
    ) -> Result<()> {
        let active = hour_of(now_ms).saturating_sub(ACTIVE_HOURS);
        for (post, hours) in hours {
            let recent = hours.last().is_some_and(|counts| counts.hour >= active);
            if recent
                && !self.has_post(post)
                && let Some((author, loaded)) = load_post(source, post, now_ms)?
            {
                self.add_post(author, loaded);
            }
        }
        Ok(())
    }
}

fn read_all_hours(source: Source<'_>, now_ms: TimestampMs) -> Result<HashMap<Id, Vec<HourCounts>>> {
    let Source { engine, keys, overlay } = source;
    let oldest = hour_of(now_ms).saturating_sub(POST_HOURS_KEPT);
    let latest = hour_of(now_ms) + 1;
    let mut hours: HashMap<Id, Vec<HourCounts>> = HashMap::new();
    engine.sweep(Family::PostHours, |key, bytes| {
        if let Some((post, counts)) =
            read_hour(keys, key, bytes)?.filter(|(_, counts)| (oldest..=latest).contains(&counts.hour))
        {
            hours.entry(post).or_insert_with(|| Vec::with_capacity(2)).push(counts);
        }
        Ok(true)
    })?;
    for post in overlay.posts() {
        HourCounts::merge(hours.entry(post).or_default(), overlay.hours_of(post, oldest));
    }
    Ok(hours)
}
