//! A copy of the store as it stood between two writes, made while it goes on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::error::{Result, StoreError};
use crate::format::{self, FORMAT};
use crate::key::Family;
use crate::model::{IdKind, TopicPartition};
use crate::position::Position;
use crate::store::Store;

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store's format.
    pub format: u32,
    /// The kind of its ids.
    pub ids: IdKind,
    /// How far each partition has been applied in it.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// Its files. The one that makes a directory a store comes last.
    pub files: Vec<CheckpointFile>,
}

/// One file of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Below the store's directory, with `/` between the parts.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

impl Store {
    /// Copies the store into a directory that is made for it, as it stands between two writes: links where the file
    /// system allows it, so best on the store's own. Readers go on; `apply` waits while what it wrote last is written
    /// out.
    pub fn checkpoint(&self, into: &Path) -> Result<Checkpoint> {
        let _one_at_a_time = self.checkpointing.lock();
        // Most of it while `apply` goes on.
        self.engine.flush()?;
        let positions = {
            let writer = self.writer.read_recursive();
            format::create_copy(into, self.ids())?;
            self.engine.checkpoint(&into.join("db"))?;
            writer.positions().clone()
        };
        let mut files = Vec::new();
        list(into, "", &mut files).map_err(StoreError::io(into))?;
        files.sort_by(|one, other| {
            (format::is_last(&one.path), &one.path).cmp(&(format::is_last(&other.path), &other.path))
        });
        Ok(Checkpoint { format: FORMAT, ids: self.ids(), positions, files })
    }

    /// Removes what belongs to the node that wrote it and to no other: a store that was copied from a peer begins
    /// without, and is another store than its original. Gives back how many entries there were.
    pub fn clear_node_local(&self) -> Result<u64> {
        let mut count = 0;
        for family in Family::ALL.into_iter().filter(|family| family.is_node_local()) {
            let mut batch = rocksdb::WriteBatch::default();
            let cf = self.engine.cf(family)?;
            self.engine.scan_all(family, &[], |key, _| {
                batch.delete_cf(cf, key);
                count += 1;
                Ok(true)
            })?;
            self.engine.write(batch)?;
        }
        let mut batch = rocksdb::WriteBatch::default();
        batch.delete_cf(self.engine.cf(Family::Meta)?, Self::identity_key());
        self.engine.write(batch)?;
        self.writer.write().leave_spool();
        self.sync()?;
        Ok(count)
    }
}

fn list(dir: &Path, above: &str, files: &mut Vec<CheckpointFile>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{above}{}", entry.file_name().to_string_lossy());
        let about = entry.metadata()?;
        if about.is_dir() {
            list(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push(CheckpointFile { path, bytes: about.len() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeadReason, Outcome, Record, Refusal, Topic};
    use crate::{Config, OpenOptions};

    const NOW: i64 = 1_795_376_817_860;

    fn open(dir: &Path) -> Store {
        let config = Config { dir: dir.to_owned(), memory_budget_bytes: 64 << 20, ..Config::default() };
        Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
    }

    fn dead(offset: i64) -> Record {
        let refusal = Refusal { reason: DeadReason::Malformed, detail: String::new() };
        let outcome = Outcome::Dead { refusal, key: None, value: Some(vec![7; 100]) };
        let at = TopicPartition { topic: Topic::Likes, partition: 3 };
        Record { at, offset, time: NOW, outcome, raw: None }
    }

    #[test]
    fn a_copy_is_the_store_as_it_stood_and_the_store_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("store"));
        store.apply(&[dead(0), dead(1)], NOW).unwrap();
        let copy = dir.path().join("copy");
        let checkpoint = store.checkpoint(&copy).unwrap();
        store.apply(&[dead(2)], NOW).unwrap();
        assert_eq!((checkpoint.format, checkpoint.ids), (FORMAT, IdKind::U64));
        assert_eq!(checkpoint.files.last().map(|file| file.path.as_str()), Some("FORMAT"));
        assert!(checkpoint.files.iter().any(|file| file.path.starts_with("db/") && file.path.ends_with(".sst")));
        for file in &checkpoint.files {
            assert_eq!(fs::metadata(copy.join(&file.path)).unwrap().len(), file.bytes, "{}", file.path);
        }
        assert!(store.checkpoint(&copy).is_err(), "a copy is never written into");
        drop(store);
        let copied = open(&copy);
        assert_eq!(copied.positions().unwrap(), checkpoint.positions);
        let mut offsets = Vec::new();
        copied.each_dead_letter(|_, offset, _| offsets.push(offset)).unwrap();
        assert_eq!(offsets, [0, 1]);
    }

    #[test]
    fn a_copy_that_is_another_nodes_now_is_another_store_and_is_taken_in_as_the_next_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let config =
            |name: &str| Config { dir: dir.path().join(name), memory_budget_bytes: 64 << 20, ..Config::default() };
        let (own, peer) = (open(&config("own").dir), open(&config("peer").dir));
        peer.apply(&[dead(0)], NOW).unwrap();
        let identity = peer.identity().unwrap();
        peer.checkpoint(&dir.path().join("own/copy")).unwrap();
        let copied = open(&dir.path().join("own/copy"));
        assert_eq!(copied.identity().unwrap(), identity);
        assert_eq!(copied.clear_node_local().unwrap(), 0);
        assert_ne!(copied.identity().unwrap(), identity);
        drop(copied);
        let epoch = own.adopt(&config("own"), "copy").unwrap();
        let options = OpenOptions { ids: IdKind::U64, apply_truncates: false };
        let next = own.beside(&config("own"), options, epoch).unwrap();
        assert_eq!(next.positions().unwrap(), peer.positions().unwrap());
        drop(next);
        own.discard_unnoted(&config("own")).unwrap();
        assert!(!dir.path().join("own/epoch-1").exists() && dir.path().join("own/db").exists());
        drop(own);
        assert!(open(&config("own").dir).positions().unwrap().is_empty(), "it never was the current one");
    }
}
