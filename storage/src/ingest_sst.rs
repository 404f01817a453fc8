//! A store under construction: the next epoch, built from sorted facts beside the one that serves.
//!
//! Facts come family by family in the order of their keys and become sorted files that RocksDB takes in whole. What
//! follows from them (indexes, counts) is derived here, from what was taken in. Everything may be done twice: a build that
//! was killed goes on from the note its maker kept.

mod derive;
mod sorted;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use rocksdb::{Cache, Options, WriteBatch};

use crate::config::Config;
use crate::engine::Engine;
use crate::epoch;
use crate::error::{Result, StoreError};
use crate::format;
use crate::history;
use crate::key::{self, Family, Keys};
use crate::model::TopicPartition;
use crate::options::{self, Budget};
use crate::owner::Owner;
use crate::position::Position;
use crate::retention::{Clock, Retention};
use crate::store::{OpenOptions, Store};
use crate::value::{self, Base, Begin};

pub use sorted::Sorted;

/// What the maker of a build has noted.
const NOTE: &str = "NOTE";
/// Where sorted files are written before they are taken in.
const FILES: &str = "sorted";

/// The next epoch of a store, being built. The store's owner alone may have one.
pub struct Build {
    dir: PathBuf,
    epoch: u32,
    engine: Engine,
    keys: Keys,
    budget: Budget,
    options: HashMap<Family, Options>,
    /// How many files were begun: their names differ.
    files: AtomicU64,
    _owner: Owner,
}

impl std::fmt::Debug for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Build").field("dir", &self.dir).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Where a built store stands in the log, and where its own part of it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foundation {
    /// By partition, as if everything below had been applied.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// By partition of `events`.
    pub begins: BTreeMap<u32, Begin>,
    /// How the bases of all readers were taken.
    pub base: Option<Base>,
}

impl Build {
    /// Goes on with the build that was begun in `config.dir`, or begins one. Without a `serving` store, nobody may have
    /// the store open: this takes its place.
    ///
    /// # Errors
    /// [`StoreError::Held`] while somebody has it.
    pub fn open(config: &Config, options: OpenOptions, serving: Option<&Store>) -> Result<Self> {
        let owner = match serving {
            Some(store) => store.owner.clone(),
            None => {
                format::check_or_create(&config.dir, options.ids)?;
                Owner::claim(&config.dir)?
            }
        };
        let current = epoch::current(&config.dir)?;
        let begun = epoch::all(&config.dir)?.into_iter().find(|epoch| *epoch > current);
        let epoch = begun.unwrap_or(current + 1);
        let home = epoch::home(&config.dir, epoch);
        let private = |dir: &PathBuf| {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::io(dir.clone()))
        };
        private(&home)?;
        // What was being written when an earlier build was killed.
        epoch::remove(&home.join(FILES))?;
        private(&home.join(FILES))?;
        // Nobody reads from it: what readers would need is spare.
        let budget = Budget::of(config);
        let cache = Cache::new_lru_cache(budget.cache_bytes / 4);
        let keep = Retention { tombstones_ms: i64::MAX };
        let engine = Engine::open(&epoch::database(&config.dir, epoch), &budget, keep, &Clock::default())?;
        let options_of = |family| (family, options::sorted(family, &budget, &cache));
        let sorted = Family::ALL.into_iter().map(options_of).collect();
        Ok(Self {
            dir: config.dir.clone(),
            epoch,
            engine,
            keys: Keys(options.ids),
            budget,
            options: sorted,
            files: AtomicU64::new(0),
            _owner: owner,
        })
    }

    /// Which epoch it will be.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What was noted last; `None` for a build just begun.
    pub fn note(&self) -> Result<Option<String>> {
        let path = epoch::home(&self.dir, self.epoch).join(NOTE);
        match std::fs::read_to_string(&path) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(path)(error)),
        }
    }

    /// Whether the maker of a build in this directory has noted how far it is.
    pub(crate) fn is_noted(home: &Path) -> bool {
        home.join(NOTE).exists()
    }

    /// Notes how far the build is. What was taken in before stays taken in.
    pub fn keep_note(&self, note: &str) -> Result<()> {
        epoch::replace(&epoch::home(&self.dir, self.epoch), NOTE, note.as_bytes())
    }

    /// Gives a build up and begins again from nothing.
    pub fn start_over(self, config: &Config, options: OpenOptions, serving: Option<&Store>) -> Result<Self> {
        let home = epoch::home(&self.dir, self.epoch);
        // Its lock on the database goes first.
        drop(self);
        epoch::remove(&home)?;
        Self::open(config, options, serving)
    }

    /// Facts of one family, to be given in the order of their keys, each key once.
    pub fn sorted(&self, family: Family) -> Sorted<'_> {
        Sorted::new(self, family)
    }

    /// Makes indexes and counts from the rows that were taken in. May be done again.
    pub fn derive(&self, progress: impl FnMut(u64)) -> Result<()> {
        derive::all(self, progress)
    }

    /// Says where the store stands, and has everything on disk. It can be opened and made current then.
    pub fn finish(&self, foundation: &Foundation) -> Result<()> {
        let mut batch = WriteBatch::default();
        let (offsets, meta) = (self.engine.cf(Family::Offsets)?, self.engine.cf(Family::Meta)?);
        for (at, position) in &foundation.positions {
            batch.put_cf(offsets, key::partition(*at), value::encode(Family::Offsets, position)?);
        }
        for (partition, begin) in &foundation.begins {
            batch.put_cf(meta, key::begin(*partition), value::encode(Family::Meta, begin)?);
        }
        if let Some(base) = &foundation.base {
            batch.put_cf(meta, history::whole_key(), value::encode(Family::Meta, base)?);
        }
        self.engine.write(batch)?;
        self.engine.sync_wal()
    }

    /// Makes the finished epoch the current one. Nobody has the store open, so it is opened with this epoch next, which
    /// then takes over what the others have spooled and removes them.
    pub fn make_current(self) -> Result<u32> {
        epoch::flip(&self.dir, self.epoch)?;
        Ok(self.epoch)
    }

    /// A new name for a sorted file.
    fn file(&self, family: Family) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        epoch::home(&self.dir, self.epoch).join(FILES).join(format!("{}-{number}.sst", family.name()))
    }
}
