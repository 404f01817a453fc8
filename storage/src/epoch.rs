//! Epochs: a store may hold several whole databases, one of which is current. A rebuild makes the next one beside the one
//! that serves, and a small file, renamed into place, says which one it is.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

/// Says which epoch is current; absent: the first.
const POINTER: &str = "EPOCH";

/// The database of an epoch. The first one lies where stores had theirs before there were epochs.
pub(crate) fn database(dir: &Path, epoch: u32) -> PathBuf {
    home(dir, epoch).join("db")
}

/// The directory of an epoch and of what is noted while it is built. The first one has none of its own.
pub(crate) fn home(dir: &Path, epoch: u32) -> PathBuf {
    if epoch == 0 { dir.to_owned() } else { dir.join(format!("epoch-{epoch}")) }
}

/// The current epoch of a store.
pub(crate) fn current(dir: &Path) -> Result<u32> {
    let path = dir.join(POINTER);
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| StoreError::NotAStore {
            dir: dir.to_owned(),
            detail: "its EPOCH file is damaged; write the number of the epoch directory to use into it".to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io(path)(error)),
    }
}

/// Takes a whole store, which lies in this directory under another name, in as the next epoch. What was begun behind the
/// current one gives way.
pub(crate) fn adopt(dir: &Path, name: &str) -> Result<u32> {
    let current = current(dir)?;
    discard_after(dir, current, |_| false)?;
    let (from, epoch) = (dir.join(name), current + 1);
    let moved = || -> std::io::Result<()> {
        fs::rename(&from, home(dir, epoch))?;
        File::open(dir)?.sync_all()
    };
    moved().map_err(StoreError::io(&from)).map(|()| epoch)
}

/// Removes the epochs behind this one but for those whose directory is to be kept.
pub(crate) fn discard_after(dir: &Path, epoch: u32, keep: impl Fn(&Path) -> bool) -> Result<()> {
    let later = all(dir)?.into_iter().filter(|later| *later > epoch && !keep(&home(dir, *later)));
    later.into_iter().try_for_each(|later| discard(&database(dir, later), &home(dir, later)))
}

/// Makes another epoch the current one. After a crash at any point it is the one before or this one.
pub(crate) fn flip(dir: &Path, epoch: u32) -> Result<()> {
    replace(dir, POINTER, format!("{epoch}\n").as_bytes())
}

/// Replaces a small file as a whole: after a crash it is the old one or the new one.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(name))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(StoreError::io(&temporary))
}

/// The epochs that have a directory of their own, ascending.
pub(crate) fn all(dir: &Path) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let name = entry.map_err(StoreError::io(dir))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("epoch-"));
        found.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// The epochs before this one that have a database, ascending.
pub(crate) fn before(dir: &Path, epoch: u32) -> Result<Vec<u32>> {
    let mut found = all(dir)?;
    found.insert(0, 0);
    // RocksDB's pointer to its own state: what was half removed has none any more.
    found.retain(|earlier| *earlier < epoch && database(dir, *earlier).join("CURRENT").exists());
    Ok(found)
}

/// Removes the epochs before the current one, as far as there are any.
pub(crate) fn sweep(dir: &Path, current: u32) -> Result<()> {
    if current > 0 {
        discard(&database(dir, 0), &database(dir, 0))?;
    }
    for epoch in all(dir)?.into_iter().filter(|epoch| *epoch < current) {
        discard(&database(dir, epoch), &home(dir, epoch))?;
    }
    Ok(())
}

/// Removes a directory with a database in it; one that is half removed is no database any more.
fn discard(database: &Path, home: &Path) -> Result<()> {
    let current = database.join("CURRENT");
    match fs::remove_file(&current) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io(current)(error)),
        _ => remove(home),
    }
}

/// Removes a directory with what is in it; that there is none is well.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_says_which_epoch_is_current_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(current(dir).unwrap(), 0);
        flip(dir, 7).unwrap();
        flip(dir, 8).unwrap();
        assert_eq!(current(dir).unwrap(), 8);
        fs::write(dir.join(POINTER), "").unwrap();
        assert!(matches!(current(dir), Err(StoreError::NotAStore { .. })));
    }

    #[test]
    fn epochs_before_the_current_one_go_and_those_after_it_stay() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for epoch in [0, 2, 3, 11] {
            fs::create_dir_all(database(dir, epoch)).unwrap();
        }
        fs::write(dir.join("epoch-x"), "").unwrap();
        sweep(dir, 0).unwrap();
        assert!(database(dir, 0).exists());
        sweep(dir, 3).unwrap();
        assert!(!database(dir, 0).exists());
        assert_eq!(all(dir).unwrap(), [3, 11]);
    }

    #[test]
    fn what_is_taken_in_as_the_next_epoch_has_the_place_of_what_was_begun_there() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        flip(dir, 3).unwrap();
        for epoch in [3, 4, 5] {
            fs::create_dir_all(database(dir, epoch)).unwrap();
        }
        assert!(adopt(dir, "elsewhere").is_err());
        fs::create_dir_all(dir.join("elsewhere/db")).unwrap();
        fs::write(dir.join("elsewhere/db/CURRENT"), "it").unwrap();
        assert_eq!(adopt(dir, "elsewhere").unwrap(), 4);
        assert_eq!((all(dir).unwrap(), current(dir).unwrap()), (vec![3, 4], 3));
        assert!(database(dir, 4).join("CURRENT").exists() && !dir.join("elsewhere").exists());
    }
}
