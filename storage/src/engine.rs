//! RocksDB behind the key space: single reads, prefix scans, batches. Knows families and keys, not their meaning.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    Cache, ColumnFamily, DB, DBPinnableSlice, DBRawIterator, IngestExternalFileOptions, ReadOptions, ReadTier,
    Snapshot, WriteBatch,
};

use crate::error::{Result, StoreError};
use crate::key::{Family, Key};
use crate::options::{self, Budget};
use crate::retention::{Clock, Retention};

/// An open database.
pub(crate) struct Engine {
    db: DB,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("path", &self.db.path()).finish()
    }
}

impl Engine {
    pub(crate) fn open(path: &Path, budget: &Budget, retention: Retention, clock: &Clock) -> Result<Self> {
        crate::wal::mend(path).map_err(StoreError::io(path))?;
        let cache = Cache::new_lru_cache(budget.cache_bytes);
        let families = options::families(budget, &cache, retention, clock);
        match DB::open_cf_descriptors(&options::database(budget, &cache)?, path, families) {
            Ok(db) => Ok(Self { db }),
            Err(error) if is_lock(&error) => Err(StoreError::Held { dir: path.to_owned() }),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn cf(&self, family: Family) -> Result<&ColumnFamily> {
        self.db.cf_handle(family.name()).ok_or_else(|| StoreError::NotAStore {
            dir: self.db.path().to_owned(),
            detail: format!("no column family {}", family.name()),
        })
    }

    pub(crate) fn get(&self, family: Family, key: &Key) -> Result<Option<DBPinnableSlice<'_>>> {
        Ok(self.db.get_pinned_cf(self.cf(family)?, key)?)
    }

    /// Reads several keys of one family at once.
    pub(crate) fn get_many(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<DBPinnableSlice<'_>>>> {
        let cf = self.cf(family)?;
        let values = self.db.batched_multi_get_cf(cf, keys, false);
        values.into_iter().map(|value| value.map_err(StoreError::from)).collect()
    }

    /// The same without a look at the disk: [`StoreError::WouldWait`] where it takes one.
    pub(crate) fn get_cached(&self, family: Family, keys: &[Key]) -> Result<Vec<Option<DBPinnableSlice<'_>>>> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        let values = self.db.batched_multi_get_cf_opt(self.cf(family)?, keys, false, &options);
        let waits = |error: rocksdb::Error| match error.kind() {
            rocksdb::ErrorKind::Incomplete => StoreError::WouldWait,
            _ => error.into(),
        };
        values.into_iter().map(|value| value.map_err(waits)).collect()
    }

    /// Visits every entry whose key starts with `prefix`, in key order, until `visit` returns false.
    pub(crate) fn scan(
        &self,
        family: Family,
        prefix: &Key,
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        walk(&self.db, self.cf(family)?, prefix, prefix.as_ref(), visit, ReadOptions::default())
    }

    /// As [`Engine::scan`], from `start` on (which lies at or above `prefix`).
    pub(crate) fn scan_from(
        &self,
        family: Family,
        prefix: &Key,
        start: &Key,
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        walk(&self.db, self.cf(family)?, prefix, start.as_ref(), visit, ReadOptions::default())
    }

    /// For many scans of one family in a row: to make a cursor takes longer than to move it. It sees the family as it is now.
    pub(crate) fn cursor(&self, family: Family) -> Result<Cursor<'_>> {
        Ok(Cursor(self.db.raw_iterator_cf(self.cf(family)?)))
    }

    pub(crate) fn snapshot(&self) -> Snap<'_> {
        Snap { engine: self, snapshot: self.db.snapshot() }
    }

    pub(crate) fn write(&self, batch: WriteBatch) -> Result<()> {
        Ok(self.db.write(batch)?)
    }

    /// Takes in sorted files, all of them or none; they are moved away from where they lie.
    pub(crate) fn ingest(&self, family: Family, files: Vec<PathBuf>) -> Result<()> {
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        Ok(self.db.ingest_external_file_cf_opts(self.cf(family)?, &options, files)?)
    }

    /// Empties a family.
    pub(crate) fn clear(&self, family: Family) -> Result<()> {
        let cf = self.cf(family)?;
        let mut last = self.db.raw_iterator_cf(cf);
        last.seek_to_last();
        let Some(key) = last.key().map(<[u8]>::to_vec) else { return Ok(last.status()?) };
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(cf, &[][..], &key[..]);
        batch.delete_cf(cf, key);
        self.write(batch)
    }

    pub(crate) fn sync_wal(&self) -> Result<()> {
        Ok(self.db.flush_wal(true)?)
    }

    pub(crate) fn property(&self, family: Family, name: &str) -> Result<u64> {
        Ok(self.db.property_int_value_cf(self.cf(family)?, name)?.unwrap_or(0))
    }

    /// Writes the memtables out and waits until compaction has nothing left to do.
    pub(crate) fn settle(&self) -> Result<()> {
        for family in Family::ALL {
            let cf = self.cf(family)?;
            self.db.flush_cf(cf)?;
            self.db.compact_range_cf(cf, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }
}

/// A place in a family.
pub(crate) struct Cursor<'a>(DBRawIterator<'a>);

impl Cursor<'_> {
    /// As [`Engine::scan_from`].
    pub(crate) fn scan_from(
        &mut self,
        prefix: &Key,
        start: &Key,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        self.0.seek(start);
        while let Some((key, value)) = self.0.item().filter(|(key, _)| key.starts_with(prefix.as_ref())) {
            if !visit(key, value)? {
                return Ok(());
            }
            self.0.next();
        }
        Ok(self.0.status()?)
    }

    /// The first thing that `read` makes of the entries from here on; the cursor stands behind that one then.
    pub(crate) fn find_next<T>(
        &mut self,
        mut read: impl FnMut(&[u8], &[u8]) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        while let Some((key, value)) = self.0.item() {
            let found = read(key, value)?;
            self.0.next();
            if found.is_some() {
                return Ok(found);
            }
        }
        self.0.status()?;
        Ok(None)
    }
}

/// The database as it was at one moment.
pub(crate) struct Snap<'a> {
    engine: &'a Engine,
    snapshot: Snapshot<'a>,
}

impl Snap<'_> {
    pub(crate) fn get(&self, family: Family, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.snapshot.get_cf(self.engine.cf(family)?, key)?)
    }

    pub(crate) fn scan(
        &self,
        family: Family,
        prefix: &Key,
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        walk(&self.engine.db, self.engine.cf(family)?, prefix, prefix.as_ref(), visit, options)
    }
}

fn walk(
    db: &DB,
    cf: &ColumnFamily,
    prefix: &Key,
    start: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    mut options: ReadOptions,
) -> Result<()> {
    if let Some(bound) = prefix.successor() {
        options.set_iterate_upper_bound(bound.as_ref());
    }
    let mut entries = db.raw_iterator_cf_opt(cf, options);
    entries.seek(start);
    while let Some((key, value)) = entries.item() {
        if !visit(key, value)? {
            return Ok(());
        }
        entries.next();
    }
    Ok(entries.status()?)
}

/// For jobs, not for requests.
impl Engine {
    /// A cursor in front of everything in a family, past the cache: readers keep theirs.
    pub(crate) fn pass(&self, family: Family) -> Result<Cursor<'_>> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut entries = self.db.raw_iterator_cf_opt(self.cf(family)?, options);
        entries.seek_to_first();
        Ok(Cursor(entries))
    }

    /// A value by the bytes of its key.
    pub(crate) fn get_raw(&self, family: Family, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>> {
        Ok(self.db.get_pinned_cf(self.cf(family)?, key)?)
    }

    /// Every entry of a family, past the cache: readers keep theirs.
    pub(crate) fn sweep(&self, family: Family, visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        self.pass(family)?.scan_from(&Key::new(), &Key::new(), visit)
    }

    /// Has the operating system read the files of what is read at a start, up to `most` bytes: from a disk far sooner done in one
    /// go than block by block, and next to nothing where it holds them already.
    pub(crate) fn fetch(&self, most: usize) -> Result<()> {
        let families: Vec<_> = Family::ALL.into_iter().filter(|family| family.is_read_at_a_start()).collect();
        let mut buffer = vec![0; 1 << 20];
        let mut left = most;
        for file in self.db.live_files()? {
            if !families.iter().any(|family| family.name() == file.column_family_name) || file.size > left {
                continue;
            }
            left -= file.size;
            let path = self.db.path().join(file.name.trim_start_matches('/'));
            // One that has just been compacted away is no loss, and one that cannot be read is told of by who needs it.
            let Ok(mut file) = File::open(path) else { continue };
            while file.read(&mut buffer).is_ok_and(|read| read > 0) {}
        }
        Ok(())
    }

    /// Writes every memtable out.
    pub(crate) fn flush(&self) -> Result<()> {
        for family in Family::ALL {
            self.db.flush_cf(self.cf(family)?)?;
        }
        Ok(())
    }

    /// Makes a copy of the database in a directory that is not there yet: links where the file system allows it.
    pub(crate) fn checkpoint(&self, into: &Path) -> Result<()> {
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(into)?)
    }

    /// Every entry of a family from `start` on.
    pub(crate) fn scan_all(
        &self,
        family: Family,
        start: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        walk(&self.db, self.cf(family)?, &Key::new(), start, visit, ReadOptions::default())
    }
}

/// RocksDB reports a held lock as an IO error that names its LOCK file.
fn is_lock(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::IOError
        && ["lock file", "lock hold"].iter().any(|words| error.as_ref().contains(words))
}
