//! The store's contents as typed entries, family by family: for tools, checks and tests, not for requests.

use crate::counters::{self, Latest, Partial, RowCounts};
use crate::error::Result;
use crate::key::{self, Family};
use crate::model::{Counters, Day, Hour, Id, TimestampMs, TopicPartition};
use crate::store::Store;
use crate::value::{self, Base, CommentRow, DeadLetter, LinkRow, PostRow};

impl Store {
    fn each(&self, family: Family, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        self.engine.scan_all(family, &[], |key, bytes| visit(key, bytes).map(|()| true))
    }

    /// Every hourly counter: post, hour, counts.
    pub fn each_post_hour(&self, mut visit: impl FnMut(Id, Hour, Counters)) -> Result<()> {
        self.each(Family::PostHours, |key, bytes| {
            if let Some(([post], rest)) = self.keys.split::<1>(key)
                && let Some(hour) = rest.first_chunk::<4>()
            {
                visit(post, Hour::from_be_bytes(*hour), counters::decode(Family::PostHours, bytes)?);
            }
            Ok(())
        })
    }

    /// Every daily partial: user, author, arrival day, day, sums.
    pub fn each_partial(&self, mut visit: impl FnMut(Id, Id, Day, Day, Partial)) -> Result<()> {
        self.each(Family::UserAuthorDays, |key, bytes| {
            if let Some(([user, author], [a, b, c, d])) = self.keys.split::<2>(key) {
                let sums = counters::decode(Family::UserAuthorDays, bytes)?;
                visit(user, author, Day::from_be_bytes([*a, *b]), Day::from_be_bytes([*c, *d]), sums);
            }
            Ok(())
        })
    }

    /// Every row of the readers' bases: user, author, day, sums.
    pub fn each_history(&self, mut visit: impl FnMut(Id, Id, Day, Partial)) -> Result<()> {
        self.each(Family::History, |key, bytes| {
            if let Some(([user, author], [a, b])) = self.keys.split::<2>(key) {
                visit(user, author, Day::from_be_bytes([*a, *b]), counters::decode(Family::History, bytes)?);
            }
            Ok(())
        })
    }

    /// Every reader whose base was taken, and how.
    pub fn each_base(&self, mut visit: impl FnMut(Id, Base)) -> Result<()> {
        self.each(Family::HistoryOf, |key, bytes| {
            if let Some(([user], _)) = self.keys.split::<1>(key) {
                visit(user, value::decode_base(Family::HistoryOf, bytes)?);
            }
            Ok(())
        })
    }

    /// Every row of `posts`, removed ones included.
    pub fn each_post(&self, mut visit: impl FnMut(Id, PostRow)) -> Result<()> {
        self.each(Family::Posts, |key, bytes| {
            if let Some(([id], _)) = self.keys.split::<1>(key) {
                visit(id, value::decode(Family::Posts, bytes)?);
            }
            Ok(())
        })
    }

    /// Every row of `comments`, removed ones included.
    pub fn each_comment(&self, mut visit: impl FnMut(Id, CommentRow)) -> Result<()> {
        self.each(Family::Comments, |key, bytes| {
            if let Some(([id], _)) = self.keys.split::<1>(key) {
                visit(id, value::decode(Family::Comments, bytes)?);
            }
            Ok(())
        })
    }

    /// Every row of a family of links (`Follows`, `Blocks`, `Likes`), removed ones included.
    pub fn each_link(&self, family: Family, mut visit: impl FnMut(Id, Id, LinkRow)) -> Result<()> {
        self.each(family, |key, bytes| {
            if let Some(([first, second], _)) = self.keys.split::<2>(key) {
                visit(first, second, value::decode(family, bytes)?);
            }
            Ok(())
        })
    }

    /// Every entry of an index of links (`Followers`, `BlockedBy`).
    pub fn each_index(&self, family: Family, mut visit: impl FnMut(Id, Id)) -> Result<()> {
        self.each(family, |key, _| {
            if let Some(([first, second], _)) = self.keys.split::<2>(key) {
                visit(first, second);
            }
            Ok(())
        })
    }

    /// Every entry of the index of posts: author, creation time, post.
    pub fn each_author_post(&self, mut visit: impl FnMut(Id, TimestampMs, Id)) -> Result<()> {
        self.each(Family::AuthorPosts, |key, _| {
            if let Some((author, created_at, post)) = self.keys.split_author_post(key) {
                visit(author, created_at, post);
            }
            Ok(())
        })
    }

    /// Every view or hide (`Viewed`, `Hides`): user, post, time.
    pub fn each_seen(&self, family: Family, mut visit: impl FnMut(Id, Id, TimestampMs)) -> Result<()> {
        self.each(family, |key, bytes| {
            if let Some(([user, post], _)) = self.keys.split::<2>(key) {
                let Latest(time) = counters::decode(family, bytes)?;
                visit(user, post, time);
            }
            Ok(())
        })
    }

    /// Row counts of every post that has any.
    pub fn each_row_counts(&self, mut visit: impl FnMut(Id, RowCounts)) -> Result<()> {
        self.each(Family::PostCounts, |key, bytes| {
            if let Some(([post], _)) = self.keys.split::<1>(key) {
                visit(post, counters::decode(Family::PostCounts, bytes)?);
            }
            Ok(())
        })
    }

    /// Every mark of a dropped repeat.
    pub fn each_mark(&self, mut visit: impl FnMut(TopicPartition, i64)) -> Result<()> {
        self.each(Family::Marks, |key, _| {
            if let Some((at, Some(offset))) = key::split_record(key) {
                visit(at, offset);
            }
            Ok(())
        })
    }

    /// Every dead letter, with where it stood in the log.
    pub fn each_dead_letter(&self, mut visit: impl FnMut(TopicPartition, i64, DeadLetter)) -> Result<()> {
        self.each(Family::DeadLetters, |key, bytes| {
            if let Some((at, Some(offset))) = key::split_record(key) {
                visit(at, offset, value::decode(Family::DeadLetters, bytes)?);
            }
            Ok(())
        })
    }
}
