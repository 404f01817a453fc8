//! The FORMAT file: what wrote this directory, readable before RocksDB is touched.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Result, StoreError};
use crate::model::IdKind;

/// The newest format this build reads and writes.
pub const FORMAT: u32 = 1;
const FILE: &str = "FORMAT";

/// Whether there is a store in this directory.
pub(crate) fn is_there(dir: &Path) -> bool {
    dir.join(FILE).is_file()
}

/// Checks the directory's FORMAT against this build and `ids`, or creates the directory and the file.
pub(crate) fn check_or_create(dir: &Path, ids: IdKind) -> Result<()> {
    let file = dir.join(FILE);
    match fs::read_to_string(&file) {
        Ok(text) => check(dir, &text, ids),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(dir, ids),
        Err(error) => Err(StoreError::io(file)(error)),
    }
}

fn check(dir: &Path, text: &str, ids: IdKind) -> Result<()> {
    let not_ours = |detail: &str| StoreError::NotAStore { dir: dir.to_owned(), detail: detail.to_owned() };
    let mut words = text.split_whitespace();
    if words.next() != Some("edgefeed-store") {
        return Err(not_ours("its FORMAT file is not edgefeed's"));
    }
    let found: u32 =
        words.next().and_then(|word| word.parse().ok()).ok_or_else(|| not_ours("its FORMAT file is damaged"))?;
    if found > FORMAT {
        return Err(StoreError::Newer { dir: dir.to_owned(), found, known: FORMAT });
    }
    match words.next() {
        Some(kind) if kind == ids.name() => Ok(()),
        Some(kind) => Err(StoreError::OtherIds { dir: dir.to_owned(), found: kind.to_owned(), wanted: ids.name() }),
        None => Err(not_ours("its FORMAT file is damaged")),
    }
}

/// Makes a directory for a copy of a store; nothing may be there yet.
pub(crate) fn create_copy(dir: &Path, ids: IdKind) -> Result<()> {
    if dir.exists() {
        let detail = "it is there already; a copy is made in a directory of its own".to_owned();
        return Err(StoreError::NotAStore { dir: dir.to_owned(), detail });
    }
    create(dir, ids)
}

/// Whether a file of a store, by its path below the directory, is the one to come last when a store is put together:
/// without it there is none.
pub(crate) fn is_last(path: &str) -> bool {
    path == FILE
}

fn create(dir: &Path, ids: IdKind) -> Result<()> {
    let temporary = dir.join("FORMAT.new");
    // A crash while creating leaves FORMAT.new behind; anything else is somebody else's.
    let foreign = |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.path() != temporary);
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.any(foreign)) {
        return Err(StoreError::NotAStore {
            dir: dir.to_owned(),
            detail: "it is not empty and has no FORMAT file".to_owned(),
        });
    }
    create_private(dir).map_err(StoreError::io(dir))?;
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        writeln!(file, "edgefeed-store {FORMAT} {}", ids.name())?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(StoreError::io(&temporary))
}

/// The store holds what people read and like: nobody but its owner may look.
fn create_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_other_ids_and_foreign_directories_are_clear_errors() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        check_or_create(&store, IdKind::Uuid).unwrap();
        check_or_create(&store, IdKind::Uuid).unwrap();
        let refused = check_or_create(&store, IdKind::U64).unwrap_err();
        assert!(matches!(refused, StoreError::OtherIds { .. }), "{refused}");
        fs::write(store.join(FILE), "edgefeed-store 2 uuid\n").unwrap();
        let newer = check_or_create(&store, IdKind::Uuid).unwrap_err();
        assert!(matches!(newer, StoreError::Newer { found: 2, known: 1, .. }), "{newer}");
        fs::write(store.join(FILE), "edgefeed-store\n").unwrap();
        assert!(matches!(check_or_create(&store, IdKind::Uuid), Err(StoreError::NotAStore { .. })));
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("letter.txt"), "hello").unwrap();
        assert!(matches!(check_or_create(&foreign, IdKind::Uuid), Err(StoreError::NotAStore { .. })));
    }
}
