//! What can go wrong with the store, and what the caller can do about it.

use std::path::PathBuf;

/// The error of every call of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process owns the store. Speak to that node's admin API, or stop it.
    #[error("{} is held by another process; stop that node or ask its admin API", dir.display())]
    Held {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The directory was written by a newer edgefeed. Run that version, or start with another directory.
    #[error("{} has store format {found}, this edgefeed reads up to {known}; run a newer edgefeed or use another storage.dir", dir.display())]
    Newer {
        /// The store's directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format this build knows.
        known: u32,
    },
    /// The directory was made with the other kind of ids. `node.ids` cannot change under a store.
    #[error("{} was created with node.ids = \"{found}\", the configuration says \"{wanted}\"; use another storage.dir", dir.display())]
    OtherIds {
        /// The store's directory.
        dir: PathBuf,
        /// The kind it was created with.
        found: String,
        /// The kind asked for.
        wanted: &'static str,
    },
    /// The directory is not one of ours, or its FORMAT file is damaged. Nothing was changed.
    #[error("{} is not an edgefeed store: {detail}", dir.display())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// A value on disk cannot be read: restore a backup or rebuild this node.
    #[error("damaged value in {family}: {detail}")]
    Damaged {
        /// The column family.
        family: &'static str,
        /// What was wrong with it.
        detail: String,
    },
    /// The file system refused. Mend the cause and start again.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// Only of what is asked to be done at once: a lock or the disk is in the way. Ask again where that may be waited for.
    #[error("the store would have to be waited for")]
    WouldWait,
    /// RocksDB refused. After a failed write, stop and start again: the log is read anew from the stored offset.
    #[error("rocksdb: {0}")]
    Engine(#[from] rocksdb::Error),
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// The result of every call of this crate.
pub type Result<T> = std::result::Result<T, StoreError>;
