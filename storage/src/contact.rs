//! When this store was last known to be whole: a note of the one who keeps it current, for the next start.

use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{TimestampMs, Topic};
use crate::store::Store;
use crate::value;

/// How far this store is known to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Everything written to Kafka until then has been applied,
    pub through: TimestampMs,
    /// of these topics.
    pub topics: Vec<Topic>,
}

/// The note on disk: topics by their codes, as in keys.
#[derive(Serialize, Deserialize)]
struct Note {
    through: TimestampMs,
    topics: Vec<u8>,
}

fn place() -> Key {
    key::meta("last_contact", 0)
}

impl Store {
    /// Notes a contact. The note stands behind all that was applied before, so a crash never leaves it without what it
    /// speaks of.
    pub fn note_contact(&self, contact: &Contact) -> Result<()> {
        let topics = contact.topics.iter().map(|topic| topic.code()).collect();
        let note = value::encode(Family::Meta, &Note { through: contact.through, topics })?;
        let mut batch = WriteBatch::default();
        batch.put_cf(self.engine.cf(Family::Meta)?, place(), note);
        self.engine.write(batch)
    }

    /// Notes how many records a second this store applied when it last had many to apply.
    pub fn note_replay_rate(&self, records_per_s: u64) -> Result<()> {
        let mut batch = WriteBatch::default();
        let note = value::encode(Family::Meta, &records_per_s)?;
        batch.put_cf(self.engine.cf(Family::Meta)?, key::meta("replay_rate", 0), note);
        self.engine.write(batch)
    }

    /// What was noted of that; `None` when nothing ever was.
    pub fn replay_rate(&self) -> Result<Option<u64>> {
        let bytes = self.engine.get(Family::Meta, &key::meta("replay_rate", 0))?;
        bytes.map(|bytes| value::decode(Family::Meta, &bytes)).transpose()
    }

    /// The last note; `None` when there was never one.
    pub fn last_contact(&self) -> Result<Option<Contact>> {
        let Some(bytes) = self.engine.get(Family::Meta, &place())? else { return Ok(None) };
        let note: Note = value::decode(Family::Meta, &bytes)?;
        let topics = note.topics.into_iter().filter_map(Topic::from_code).collect();
        Ok(Some(Contact { through: note.through, topics }))
    }
}
