//! Directories as a crash leaves them: copied, and damaged as a power cut damages them.

use std::fs;
use std::path::{Path, PathBuf};

use super::dice::Dice;

/// Copies a directory that nobody writes to.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The write-ahead logs of a store, oldest first.
pub(crate) fn wals(store: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(store.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    // Numbered with leading zeros.
    logs.sort_unstable();
    logs
}

/// The newest write-ahead log of a store, and its size in bytes.
pub(crate) fn newest_wal(store: &Path) -> (PathBuf, usize) {
    let newest = wals(store).pop().unwrap();
    let size = fs::metadata(&newest).unwrap().len() as usize;
    (newest, size)
}

/// What a power cut does to the end of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// It ends at a byte before its end.
    Cut,
    /// It ends at a byte before its end, and behind that stands what the disk held before.
    CutWithGarbage,
    /// Some bytes among the last 4 KiB are others.
    Flipped,
}

impl Damage {
    pub(crate) const ALL: [Self; 3] = [Self::Cut, Self::CutWithGarbage, Self::Flipped];

    /// Damages the newest write-ahead log, its bytes below `from` excepted: the older ones are synced before anything
    /// is built on them. Tells what was done.
    pub(crate) fn strike(self, store: &Path, from: usize, dice: &mut Dice) -> String {
        let (wal, size) = newest_wal(store);
        assert!(size > from, "{} has nothing to lose", wal.display());
        let mut bytes = fs::read(&wal).unwrap();
        let told = match self {
            Self::Cut | Self::CutWithGarbage => {
                bytes.truncate(dice.between(from, size - 1));
                let kept = bytes.len();
                if let Self::CutWithGarbage = self {
                    bytes.extend((0..dice.between(1, 4096)).map(|_| dice.byte()));
                }
                format!("kept {kept} of {size} bytes, added {}", bytes.len() - kept)
            }
            Self::Flipped => {
                let first = from.max(size.saturating_sub(4096));
                let places: Vec<usize> = (0..dice.between(1, 8)).map(|_| dice.between(first, size - 1)).collect();
                for place in &places {
                    bytes[*place] ^= dice.byte() | 1;
                }
                format!("flipped {places:?} of {size} bytes")
            }
        };
        fs::write(&wal, bytes).unwrap();
        format!("{self:?}: {told}")
    }
}
