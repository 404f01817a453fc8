//! What a rebuild notes beside the epoch it builds, so that it goes on where it was killed.

use std::collections::{BTreeMap, BTreeSet};

use edgefeed_storage::model::{Id, IdKind, TimestampMs};
use serde::{Deserialize, Serialize};

use super::places::Place;
use crate::center::{Shard, Shards, Walk};

/// Everything that was decided at the beginning, and what is done of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) version: u32,
    pub(crate) ids: IdKind,
    pub(crate) cluster: String,
    pub(crate) group: String,
    pub(crate) database: String,
    /// The time of the whole rebuild: windows end with it.
    pub(crate) now_ms: TimestampMs,
    pub(crate) places: Vec<Place>,
    /// By partition of `events`, the latest record time that the center holds below the cut.
    pub(crate) record_times: BTreeMap<u32, TimestampMs>,
    pub(crate) walks: BTreeMap<Walk, WalkNote>,
    pub(crate) finished: bool,
}

/// One table of it. Ids are texts: JSON numbers are not exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WalkNote {
    pub(crate) rows: u64,
    /// The first id of each part; a part ends before the next one.
    pub(crate) parts: Vec<(String, String)>,
    pub(crate) done: BTreeSet<usize>,
}

/// The version of the note's shape.
pub(crate) const VERSION: u32 = 1;

impl WalkNote {
    pub(crate) fn of(shards: &Shards) -> Self {
        let parts = shards.parts.iter().map(|shard| (shard.from.0.to_string(), shard.to.0.to_string()));
        Self { rows: shards.rows, parts: parts.collect(), done: BTreeSet::new() }
    }

    /// The parts that are not done, with their numbers.
    pub(crate) fn left(&self) -> Vec<(usize, Shard)> {
        let parts = self.parts.iter().enumerate().filter(|(number, _)| !self.done.contains(number));
        let id = |text: &String| text.parse().ok().map(Id);
        parts.filter_map(|(number, (from, to))| Some((number, Shard { from: id(from)?, to: id(to)? }))).collect()
    }
}

impl Note {
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|note| note.version == VERSION)
    }

    /// Whether this is the beginning of the same rebuild.
    pub(crate) fn fits(&self, ids: IdKind, cluster: &str, group: &str, database: &str) -> bool {
        (self.ids, &*self.cluster, &*self.group, &*self.database) == (ids, cluster, group, database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_tells_what_is_left() {
        let shards =
            Shards { rows: 9, parts: vec![Shard { from: Id(0), to: Id(6) }, Shard { from: Id(7), to: Id(u128::MAX) }] };
        let mut walk = WalkNote::of(&shards);
        walk.done.insert(0);
        let note = Note {
            version: VERSION,
            ids: IdKind::Uuid,
            cluster: "c".to_owned(),
            group: "g".to_owned(),
            database: "d".to_owned(),
            now_ms: 5,
            places: Vec::new(),
            record_times: BTreeMap::from([(3, 4)]),
            walks: BTreeMap::from([(Walk::Posts, walk)]),
            finished: false,
        };
        let read = Note::read(&serde_json::to_string(&note).unwrap()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.walks[&Walk::Posts].left(), [(1, shards.parts[1])]);
        assert!(Note::read("{}").is_none());
        assert!(read.fits(IdKind::Uuid, "c", "g", "d") && !read.fits(IdKind::Uuid, "c", "h", "d"));
    }
}
