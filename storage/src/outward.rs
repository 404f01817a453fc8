//! What the way out asks of the store: which records were repeats, and what rows hold that a record left out.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::key::{self, Family};
use crate::model::{Id, TopicPartition};
use crate::position::Position;
use crate::store::Store;
use crate::value::{self, CommentRow, PostRow};

impl Store {
    /// How far one partition has been applied; `None` for one never met.
    pub fn position(&self, at: TopicPartition) -> Option<Position> {
        self.writer.read().positions().get(&at).copied()
    }

    /// The offsets of dropped records (repeats, and what names somebody forgotten) within a stretch of a partition, ascending. Complete for offsets from
    /// `Position::marked_from` to below `Position::next_offset`.
    pub fn marks(&self, at: TopicPartition, offsets: RangeInclusive<i64>) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        let (prefix, start) = (key::partition(at), key::record(at, (*offsets.start()).max(0)));
        self.engine.scan_from(Family::Marks, &prefix, &start, |key, _| {
            let offset = key::split_record(key).and_then(|(_, offset)| offset);
            Ok(match offset {
                Some(offset) if offset <= *offsets.end() => {
                    found.push(offset);
                    true
                }
                _ => false,
            })
        })?;
        Ok(found)
    }

    /// A row of `posts` as held, live or removed.
    pub fn post_row(&self, id: Id) -> Result<Option<PostRow>> {
        self.row(Family::Posts, id)
    }

    /// A row of `comments` as held, live or removed.
    pub fn comment_row(&self, id: Id) -> Result<Option<CommentRow>> {
        self.row(Family::Comments, id)
    }

    fn row<T: DeserializeOwned>(&self, family: Family, id: Id) -> Result<Option<T>> {
        let bytes = self.engine.get(family, &self.keys.one(id))?;
        bytes.map(|bytes| value::decode(family, &bytes)).transpose()
    }
}
