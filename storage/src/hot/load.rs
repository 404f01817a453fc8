//! Reads single posts and authors for the projection.

use super::{ACTIVE_HOURS, AUTHOR_POSTS_MAX, HourCounts, POST_AGE_KEPT_MS};
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

pub(super) fn read_hour(keys: Keys, key: &[u8], bytes: &[u8]) -> Result<Option<(Id, HourCounts)>> {
    let Some(([post], rest)) = keys.split::<1>(key) else { return Ok(None) };
    let Some(hour) = rest.first_chunk::<4>() else { return Ok(None) };
    let counts = counters::decode(Family::PostHours, bytes)?;
    Ok(Some((post, HourCounts::new(Hour::from_be_bytes(*hour), &counts))))
}

/// Reads a live post and its author; `None` when there is none.
pub(crate) fn load_post(source: Source<'_>, id: Id, now_ms: TimestampMs) -> Result<Option<(Id, LoadedPost)>> {
    let Some((author, created_at)) = live_row(source, id)? else { return Ok(None) };
    Ok(read_posts(source, &[(id, created_at)], now_ms)?.pop().map(|post| (author, post)))
}

/// The author and the time of a live post.
pub(super) fn live_row(source: Source<'_>, id: Id) -> Result<Option<(Id, TimestampMs)>> {
    let Some(bytes) = source.engine.get(Family::Posts, &source.keys.one(id))? else { return Ok(None) };
    let row: PostRow = value::decode(Family::Posts, &bytes)?;
    Ok(row.live())
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
