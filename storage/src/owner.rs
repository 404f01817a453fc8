//! One process owns a store: whoever holds the lock on its OWNER file, however many epochs there are.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Result, StoreError};

const FILE: &str = "OWNER";

/// The right to open, build and flip the epochs of one store; given back when the last clone goes, or the process.
#[derive(Clone, Debug)]
pub(crate) struct Owner(#[expect(dead_code, reason = "the lock lives as long as the file is open")] Arc<File>);

impl Owner {
    /// Takes the store in `dir`, which is there.
    pub(crate) fn claim(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(StoreError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Arc::new(file))),
            Err(TryLockError::WouldBlock) => Err(StoreError::Held { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(StoreError::io(path)(error)),
        }
    }
}
