//! Facts in the order of their keys, written into sorted files that the database takes in together.

use std::path::PathBuf;

use rocksdb::SstFileWriter;
use serde::Serialize;

use super::Build;
use crate::counters::{self, Latest, Partial, RowCounts};
use crate::error::{Result, StoreError};
use crate::key::{self, Family, Key};
use crate::model::{Counters, Day, Hour, Id, TimestampMs};
use crate::value::{self, Base, CommentRow, LinkRow, PostRow};

/// A file is closed past this size, so that compaction later moves pieces and not the whole.
const FILE_BYTES: u64 = 64 << 20;
/// How often a file's size is looked at, in facts.
const LOOK_EVERY: u64 = 4_096;

/// A run of facts of one family. Nothing of it is in the store before [`Sorted::finish`], and everything is then; dropped
/// before, it leaves nothing.
pub struct Sorted<'b> {
    build: &'b Build,
    family: Family,
    writer: Option<SstFileWriter<'b>>,
    files: Vec<PathBuf>,
    count: u64,
}

impl std::fmt::Debug for Sorted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sorted").field("family", &self.family).field("count", &self.count).finish_non_exhaustive()
    }
}

impl<'b> Sorted<'b> {
    pub(super) fn new(build: &'b Build, family: Family) -> Self {
        Self { build, family, writer: None, files: Vec::new(), count: 0 }
    }

    /// A row of `posts`.
    pub fn post(&mut self, id: Id, row: &PostRow) -> Result<()> {
        self.encoded(&self.build.keys.one(id), row)
    }

    /// A row of `comments`.
    pub fn comment(&mut self, id: Id, row: &CommentRow) -> Result<()> {
        self.encoded(&self.build.keys.one(id), row)
    }

    /// A row of `follows`, `blocks` or `likes`.
    pub fn link(&mut self, first: Id, second: Id, row: &LinkRow) -> Result<()> {
        self.encoded(&self.build.keys.two(first, second), row)
    }

    /// When a reader hid or last viewed a post.
    pub fn seen(&mut self, user: Id, post: Id, time: TimestampMs) -> Result<()> {
        self.put(&self.build.keys.two(user, post), &counters::encode(&Latest(time)))
    }

    /// What happened to a post in an hour.
    pub fn post_hour(&mut self, post: Id, hour: Hour, counts: &Counters) -> Result<()> {
        self.put(&self.build.keys.post_hour(post, hour), &counters::encode(counts))
    }

    /// A row of a reader's base.
    pub fn history(&mut self, user: Id, author: Id, day: Day, sums: &Partial) -> Result<()> {
        self.put(&self.build.keys.history(user, author, day), &counters::encode(sums))
    }

    /// That a reader's base was taken.
    pub fn base(&mut self, user: Id, base: &Base) -> Result<()> {
        self.encoded(&self.build.keys.one(user), base)
    }

    /// An event id, in the hour its partition's record time stood at when it first came.
    pub fn event_id(&mut self, partition: u32, hour: Hour, id: u128, offset: i64) -> Result<()> {
        self.put(&key::dedup(partition, hour, id), &offset.to_be_bytes())
    }

    pub(super) fn counts(&mut self, post: &Key, counts: &RowCounts) -> Result<()> {
        self.put(post, &counters::encode(counts))
    }

    fn encoded<T: Serialize>(&mut self, key: &Key, value: &T) -> Result<()> {
        self.put(key, &value::encode(self.family, value)?)
    }

    pub(super) fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        if self.writer.is_none() {
            self.open()?;
        }
        if let Some(writer) = &mut self.writer {
            writer.put(key, value)?;
        }
        self.count += 1;
        if self.count.is_multiple_of(LOOK_EVERY)
            && self.writer.as_mut().is_some_and(|writer| writer.file_size() > FILE_BYTES)
        {
            self.close()?;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let Some(options) = self.build.options.get(&self.family) else {
            return Err(value::damaged(self.family, "there is no such family"));
        };
        let path = self.build.file(self.family);
        let writer = SstFileWriter::create(options);
        writer.open(&path)?;
        self.files.push(path);
        self.writer = Some(writer);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.writer.take().map_or(Ok(()), |mut writer| writer.finish().map_err(StoreError::from))
    }

    /// Puts all of it into the store; how many facts that were.
    pub fn finish(mut self) -> Result<u64> {
        self.close()?;
        let files = std::mem::take(&mut self.files);
        if !files.is_empty() {
            self.build.engine.ingest(self.family, files)?;
        }
        Ok(self.count)
    }
}

impl Drop for Sorted<'_> {
    fn drop(&mut self) {
        // Of a run that was given up; what stays is removed when the build is opened again.
        self.writer = None;
        for file in &self.files {
            drop(std::fs::remove_file(file));
        }
    }
}
