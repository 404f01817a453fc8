//! The store: opens the directory, owns the database, the projection and the writer.

use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};

use crate::apply::Writer;
use crate::config::Config;
use crate::engine::Engine;
use crate::epoch;
use crate::error::{Result, StoreError};
use crate::format;
use crate::history;
use crate::hot::Hot;
use crate::ingest_sst::Build;
use crate::key::{self, Family, Key, Keys};
use crate::model::{IdKind, TimestampMs, TopicPartition};
use crate::options::Budget;
use crate::owner::Owner;
use crate::position::Position;
use crate::retention::{Clock, Retention, tombstones_ms};
use crate::value::{self, Base};
use crate::viewer::Viewers;

/// What the store must be told beyond its own section of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// `node.ids`.
    pub ids: IdKind,
    /// Whether a truncate in the log empties the table (`kafka.cdc_truncate = "apply"`) instead of stalling it.
    pub apply_truncates: bool,
}

/// One node's state: a directory, held by one process.
#[derive(Debug)]
pub struct Store {
    pub(crate) engine: Engine,
    pub(crate) keys: Keys,
    pub(crate) budget: Budget,
    pub(crate) clock: Clock,
    pub(crate) hot: RwLock<Hot>,
    pub(crate) viewers: Viewers,
    /// Held while a reader's base is replaced or forgotten; `writer` may be read under it, nothing else is taken.
    pub(crate) history: Mutex<()>,
    /// Held while what is kept of forgotten users is removed, before every other lock.
    pub(crate) sweeping: Mutex<()>,
    /// Held while a checkpoint is made, before every other lock.
    pub(crate) checkpointing: Mutex<()>,
    /// Held while the store is read into memory as a whole, before every other lock.
    pub(crate) warming: Mutex<()>,
    /// Write-locked while a batch is applied, read-locked while parts of the projection are filled from the store.
    pub(crate) writer: RwLock<Writer>,
    /// How the bases of all readers together were last taken: holds of those who have none of their own.
    pub(crate) whole: RwLock<Option<Base>>,
    pub(crate) epoch: u32,
    pub(crate) owner: Owner,
}

impl Store {
    /// Opens or creates the store in `config.dir`: its current epoch. What is left of earlier ones goes.
    ///
    /// Recovery is to a point in time: after a crash the store holds a prefix of what was applied, offsets included.
    pub fn open(config: &Config, options: OpenOptions) -> Result<Self> {
        format::check_or_create(&config.dir, options.ids)?;
        let owner = Owner::claim(&config.dir)?;
        let epoch = epoch::current(&config.dir)?;
        let store = Self::open_epoch(config, options, epoch, owner)?;
        store.remove_earlier(config)?;
        Ok(store)
    }

    /// Opens an epoch that was built beside this one. Both are whole stores; only one of them is current.
    pub fn beside(&self, config: &Config, options: OpenOptions, epoch: u32) -> Result<Self> {
        Self::open_epoch(config, options, epoch, self.owner.clone())
    }

    fn open_epoch(config: &Config, options: OpenOptions, epoch: u32, owner: Owner) -> Result<Self> {
        let budget = Budget::of(config);
        let clock = Clock::default();
        let retention = Retention { tombstones_ms: tombstones_ms(config.tombstone_days) };
        let path = epoch::database(&config.dir, epoch);
        let engine = Engine::open(&path, &budget, retention, &clock).map_err(|error| match error {
            StoreError::Held { .. } => StoreError::Held { dir: config.dir.clone() },
            other => other,
        })?;
        let writer = Writer::load(&engine, config, options)?;
        let whole = history::whole(&engine)?;
        Ok(Self {
            engine,
            keys: Keys(options.ids),
            budget,
            clock,
            hot: RwLock::new(Hot::new(budget.hot_bytes, 0)),
            viewers: Viewers::new(budget.viewer_bytes),
            history: Mutex::new(()),
            sweeping: Mutex::new(()),
            checkpointing: Mutex::new(()),
            warming: Mutex::new(()),
            writer: RwLock::new(writer),
            whole: RwLock::new(whole),
            epoch,
            owner,
        })
    }

    /// Which of the store's epochs this is.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Takes a whole store that lies in `config.dir` under another name in as the epoch after this one, which is the current
    /// one; a rebuild that was begun there gives way. Open it with [`Store::beside`].
    pub fn adopt(&self, config: &Config, name: &str) -> Result<u32> {
        epoch::adopt(&config.dir, name)
    }

    /// Removes what was begun behind the current epoch and cannot be gone on with; nobody may have it open. A rebuild whose
    /// maker noted how far it is stays.
    pub fn discard_unnoted(&self, config: &Config) -> Result<()> {
        epoch::discard_after(&config.dir, epoch::current(&config.dir)?, Build::is_noted)
    }

    /// Makes this epoch the one that is opened at the next start.
    pub fn make_current(&self, config: &Config) -> Result<()> {
        self.engine.sync_wal()?;
        epoch::flip(&config.dir, self.epoch)
    }

    /// Removes the epochs before this one, once it has taken over what they have spooled; nobody may have them open.
    pub fn remove_earlier(&self, config: &Config) -> Result<()> {
        for earlier in epoch::before(&config.dir, self.epoch)? {
            if let Err(error) = self.take_over_from(config, earlier) {
                // It may be damaged, and this one be the mend for that. What it holds is not ours to throw away.
                let dir = epoch::database(&config.dir, earlier);
                tracing::error!(%error, dir = %dir.display(), "what an earlier epoch has spooled cannot be read; it stays");
                return Ok(());
            }
        }
        epoch::sweep(&config.dir, self.epoch)
    }

    fn take_over_from(&self, config: &Config, earlier: u32) -> Result<()> {
        let retention = Retention { tombstones_ms: tombstones_ms(config.tombstone_days) };
        let path = epoch::database(&config.dir, earlier);
        self.take_over(&Engine::open(&path, &self.budget, retention, &self.clock)?)
    }

    /// Whether there is a store to open in `config.dir`; [`Store::open`] would make one.
    pub fn is_there(config: &Config) -> bool {
        format::is_there(&config.dir)
    }

    /// The kind of ids this store was created with.
    pub fn ids(&self) -> IdKind {
        self.keys.0
    }

    /// A number that no other store has, given when it was made. (A copy of a store has its original's until what belongs to
    /// one node alone is taken out of it.)
    pub fn identity(&self) -> Result<u128> {
        let place = Self::identity_key();
        let _one_at_a_time = self.writer.write();
        if let Some(bytes) = self.engine.get(Family::Meta, &place)? {
            return value::decode(Family::Meta, &bytes);
        }
        let identity = uuid::Uuid::new_v4().as_u128();
        let mut batch = rocksdb::WriteBatch::default();
        batch.put_cf(self.engine.cf(Family::Meta)?, place, value::encode(Family::Meta, &identity)?);
        self.engine.write(batch)?;
        Ok(identity)
    }

    pub(crate) fn identity_key() -> Key {
        key::meta("identity", 0)
    }

    /// How far each partition has been applied.
    pub fn positions(&self) -> Result<BTreeMap<TopicPartition, Position>> {
        Ok(self.writer.read().positions().clone())
    }

    /// Syncs the write-ahead log to disk: what was applied before survives a power cut.
    pub fn sync(&self) -> Result<()> {
        self.engine.sync_wal()
    }

    /// Drops what has left every window; cheap, to be called every minute or so.
    pub fn maintain(&self, now_ms: TimestampMs) -> Result<()> {
        const STRIDE: usize = 4096;
        self.clock.set(now_ms);
        self.writer.write().expire_dedup(&self.engine)?;
        let mut from = 0;
        loop {
            // `apply` looks at what is in memory, reads the rest and then changes both: nothing may go in between.
            let _no_apply = self.writer.read_recursive();
            if !self.hot.write().age(from..from + STRIDE, now_ms) {
                break;
            }
            from += STRIDE;
        }
        {
            let _no_apply = self.writer.read_recursive();
            let mut hot = self.hot.write();
            hot.shed();
            hot.evict();
        }
        if self.hot.read().is_partial() {
            self.warm(now_ms)?;
        }
        Ok(())
    }

    /// Writes everything out and compacts it: for benches and offline tools.
    pub fn settle(&self) -> Result<()> {
        self.engine.settle()
    }
}
