//! Why a backup could not be made, read or put back.

use std::path::PathBuf;

use edgefeed_storage::StoreError;

/// What went wrong, and what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What was asked cannot be; the text says why and what may be.
    #[error("{0}")]
    Asked(String),
    /// It cannot be done as things stand; the text says why.
    #[error("{0}")]
    Failed(String),
    /// A file of a backup is not what it was. Take another backup.
    #[error("{file} is damaged: {detail}; take another backup, and find out what changed it")]
    Damaged {
        /// The file, by its name where backups are kept.
        file: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The place where backups are kept does not do its part.
    #[error("backup.url: {doing}: {detail}; see whether it is there and what this node may do there")]
    Depot {
        /// What was being done.
        doing: String,
        /// What it said.
        detail: String,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// The store failed.
    #[error("storage.dir: {0}")]
    Store(#[from] StoreError),
}

/// The result of everything here.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

impl Trouble {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
