//! The requests that lately asked for a first page, so that other numbers can be tried on them before anybody is exposed
//! (`edgefeed replay`). A bounded ring in memory, written beside the store now and then. It holds ids and numbers, never
//! what a page showed; the directory is its owner's alone.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgefeed_storage::model::{Id, TimestampMs};
use parking_lot::Mutex;

use crate::config::Config;
use crate::ranking::Preset;

/// The file beside the store.
const FILE: &str = "recent_requests";
/// What it begins with: its name and how it is written.
const MAGIC: &[u8; 8] = b"edgerec1";
/// Bytes of one request: reader, time, limit, preset.
const ROW_BYTES: usize = 16 + 8 + 2 + 1;
/// The largest file read, in bytes: more than the largest ring.
const MAX_BYTES: u64 = 4 << 20;

/// One request for a first page by score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Who asked.
    pub viewer: Id,
    /// When, in epoch milliseconds.
    pub at: TimestampMs,
    /// For how many posts.
    pub limit: u16,
    /// By which numbers.
    pub preset: Preset,
}

/// The ring.
#[derive(Debug)]
pub struct Requests {
    file: PathBuf,
    most: usize,
    ring: Mutex<Ring>,
    /// Held while the file is written: two writers would share one temporary name.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Recent>,
    /// Whether the file lacks something.
    changed: bool,
}

impl Requests {
    /// The ring of a store's directory, with what an earlier process left in it. At most `most` are kept; 0: none, and
    /// what was left goes.
    pub fn open(dir: &Path, most: usize) -> Self {
        let file = dir.join(FILE);
        let kept = read(&file).unwrap_or_else(|error| {
            // It is a help to operators and nothing else: without it the node is as good as ever.
            tracing::warn!(%error, file = %file.display(), "recent requests cannot be read; starting without");
            VecDeque::new()
        });
        let mut ring = Ring { changed: kept.len() > most, kept };
        ring.bound(most);
        Self { file, most, ring: Mutex::new(ring), writing: Mutex::new(()) }
    }

    /// The ring of a configuration.
    pub fn of(config: &Config) -> Arc<Self> {
        Arc::new(Self::open(&config.storage.dir, config.ranking.recent_requests))
    }

    /// Notes a request.
    pub fn note(&self, request: Recent) {
        if self.most > 0 {
            let mut ring = self.ring.lock();
            ring.kept.push_back(request);
            ring.bound(self.most);
            ring.changed = true;
        }
    }

    /// Forgets the requests of a user, here and in the file.
    ///
    /// # Errors
    /// When the file cannot be written; call it again then.
    pub fn forget(&self, user: Id) -> io::Result<()> {
        {
            let mut ring = self.ring.lock();
            let before = ring.kept.len();
            ring.kept.retain(|request| request.viewer != user);
            ring.changed |= ring.kept.len() < before;
        }
        self.write()
    }

    /// [`Requests::write`], where failing is no more than a line in the log: the next call tries again.
    pub fn keep(&self) {
        if let Err(error) = self.write() {
            tracing::warn!(%error, file = %self.file.display(), "the requests of late are not kept");
        }
    }

    /// The newest, newest first.
    pub fn newest(&self, most: usize) -> Vec<Recent> {
        self.ring.lock().kept.iter().rev().take(most).copied().collect()
    }

    /// Writes the file, whole, where it lacks something.
    ///
    /// # Errors
    /// When it cannot be written; the next call tries again.
    pub fn write(&self) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock();
        let rows = {
            let mut ring = self.ring.lock();
            if !std::mem::take(&mut ring.changed) {
                return Ok(());
            }
            rows(&ring.kept)
        };
        replace(&self.file, &rows).inspect_err(|_| self.ring.lock().changed = true)
    }
}

impl Ring {
    fn bound(&mut self, most: usize) {
        while self.kept.len() > most {
            self.kept.pop_front();
        }
    }
}

/// A new file in the place of the old one, readable by its owner alone. What a power cut takes is no loss.
fn replace(file: &Path, rows: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    out.write_all(rows)?;
    drop(out);
    fs::rename(&temporary, file)
}

fn rows(kept: &VecDeque<Recent>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + kept.len() * ROW_BYTES);
    bytes.extend_from_slice(MAGIC);
    for request in kept {
        bytes.extend_from_slice(&request.viewer.0.to_be_bytes());
        bytes.extend_from_slice(&request.at.to_be_bytes());
        bytes.extend_from_slice(&request.limit.to_be_bytes());
        bytes.push(request.preset.code());
    }
    bytes
}

fn read(file: &Path) -> io::Result<VecDeque<Recent>> {
    let mut bytes = Vec::new();
    match File::open(file) {
        Ok(file) => file.take(MAX_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        Err(error) => return Err(error),
    };
    let rows = bytes.strip_prefix(MAGIC).ok_or_else(|| io::Error::other("it is of another version"))?;
    // A row that names nothing known here, of a later version perhaps, is left out.
    Ok(rows.chunks_exact(ROW_BYTES).filter_map(row).collect())
}

fn row(bytes: &[u8]) -> Option<Recent> {
    let (viewer, bytes) = bytes.split_first_chunk()?;
    let (at, bytes) = bytes.split_first_chunk()?;
    let (limit, bytes) = bytes.split_first_chunk()?;
    Some(Recent {
        viewer: Id(u128::from_be_bytes(*viewer)),
        at: TimestampMs::from_be_bytes(*at),
        limit: u16::from_be_bytes(*limit),
        preset: Preset::of_code(*bytes.first()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u128) -> Recent {
        let preset = Preset::ALL[usize::try_from(number).unwrap() % Preset::ALL.len()];
        Recent { viewer: Id(number), at: 1_795_376_817_860, limit: 20, preset }
    }

    #[test]
    fn the_newest_requests_are_kept_and_come_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Requests::open(dir.path(), 10);
        (0..25).for_each(|number| ring.note(request(number)));
        ring.write().unwrap();
        let expected: Vec<_> = (15..25).rev().map(request).collect();
        for most in [10, 5] {
            let again = Requests::open(dir.path(), most);
            assert_eq!(again.newest(100), expected[..most]);
            assert_eq!(again.newest(2), expected[..2]);
        }
    }

    #[test]
    fn only_the_owner_may_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let ring = Requests::open(dir.path(), 10);
        ring.note(request(1));
        ring.write().unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_kept_where_that_is_not_wanted_and_what_was_goes() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Requests::open(dir.path(), 10);
        ring.note(request(1));
        ring.write().unwrap();
        let off = Requests::open(dir.path(), 0);
        off.note(request(2));
        off.write().unwrap();
        assert!(Requests::open(dir.path(), 10).newest(10).is_empty());
    }

    #[test]
    fn a_user_is_forgotten_in_memory_and_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Requests::open(dir.path(), 10);
        (0..5).for_each(|number| ring.note(request(number % 2)));
        ring.write().unwrap();
        ring.forget(Id(1)).unwrap();
        for ring in [ring, Requests::open(dir.path(), 10)] {
            assert_eq!(ring.newest(10), [request(0); 3]);
        }
    }

    #[test]
    fn a_damaged_file_is_started_without() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [&b""[..], b"edgerec", b"edgerec9aaaa", &[0xff; 100]] {
            fs::write(dir.path().join(FILE), bytes).unwrap();
            let ring = Requests::open(dir.path(), 10);
            assert!(ring.newest(10).is_empty());
            ring.note(request(1));
            ring.write().unwrap();
            assert_eq!(Requests::open(dir.path(), 10).newest(10), [request(1)]);
        }
        let mut torn = fs::read(dir.path().join(FILE)).unwrap();
        torn.extend_from_slice(&[0; 5]);
        fs::write(dir.path().join(FILE), torn).unwrap();
        assert_eq!(Requests::open(dir.path(), 10).newest(10), [request(1)]);
    }
}
