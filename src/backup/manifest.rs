//! What a backup holds: written beside its files, and believed only with its own checksum.

use std::collections::BTreeMap;

use edgefeed_storage::model::{IdKind, Topic, TopicPartition};
use edgefeed_storage::{Checkpoint, FORMAT, Position};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::trouble::{Result, Trouble};

/// The newest manifest this build reads and writes.
const MANIFEST: u32 = 1;

/// The manifest of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this shape.
    pub manifest: u32,
    /// The backup's name: when it was made, and four random letters.
    pub id: String,
    /// When the store was copied, in RFC 3339.
    pub created_at: String,
    /// The same in UTC milliseconds.
    pub created_at_ms: i64,
    /// The version that made it.
    pub edgefeed: String,
    /// The store's format.
    pub format: u32,
    /// The kind of its ids.
    pub ids: IdKind,
    /// The cluster whose log it follows.
    pub cluster: String,
    /// The node it was made of.
    pub node: String,
    /// How far each partition had been applied.
    pub offsets: Vec<Offset>,
    /// Its files, the one that makes a directory a store last.
    pub files: Vec<File>,
}

/// How far one partition had been applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset {
    /// The topic, by our own name.
    pub topic: Topic,
    /// The partition.
    pub partition: u32,
    /// The offset to read next.
    pub next_offset: i64,
    /// Kafka's time of the last record applied, in UTC milliseconds.
    pub last_time: i64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Below the store's directory.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal. Also its name where backups are kept.
    pub sha256: String,
}

/// Whose backup it is.
#[derive(Clone, Debug)]
pub(super) struct Owner<'a> {
    pub(super) cluster: &'a str,
    pub(super) node: &'a str,
}

impl Manifest {
    pub(super) fn new(id: String, created_at_ms: i64, owner: &Owner<'_>, copy: &Checkpoint, files: Vec<File>) -> Self {
        Self {
            manifest: MANIFEST,
            id,
            created_at: crate::feed::rfc3339(created_at_ms),
            created_at_ms,
            edgefeed: env!("CARGO_PKG_VERSION").to_owned(),
            format: copy.format,
            ids: copy.ids,
            cluster: owner.cluster.to_owned(),
            node: owner.node.to_owned(),
            offsets: offsets(&copy.positions),
            files,
        }
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// How far each partition had been applied: the offset to read next, and the time of the record before it.
    pub fn reach(&self) -> BTreeMap<TopicPartition, (i64, i64)> {
        let place = |offset: &Offset| TopicPartition { topic: offset.topic, partition: offset.partition };
        self.offsets.iter().map(|offset| (place(offset), (offset.next_offset, offset.last_time))).collect()
    }

    /// As it is stored.
    pub(super) fn write(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| Trouble::Failed(error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads what is stored; `name` is where, for errors. `checksum` is what stands in the file beside it.
    pub(super) fn read(name: &str, text: &[u8], checksum: &[u8]) -> Result<Self> {
        let damaged = |detail: &str| Trouble::Damaged { file: name.to_owned(), detail: detail.to_owned() };
        if checksum.trim_ascii() != digest(text).as_bytes() {
            return Err(damaged("it does not have the checksum that manifest.sha256 names"));
        }
        let read: Self = serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))?;
        if read.manifest > MANIFEST || read.format > FORMAT {
            return Err(Trouble::Failed(format!(
                "{name} was made by edgefeed {} (store format {}); restore it with that version",
                read.edgefeed, read.format
            )));
        }
        match read.files.iter().find(|file| !is_safe(&file.path)) {
            Some(file) => Err(damaged(&format!("{:?} is no path of a store", file.path))),
            None => Ok(read),
        }
    }
}

/// Positions as a manifest tells them.
pub(super) fn offsets(positions: &BTreeMap<TopicPartition, Position>) -> Vec<Offset> {
    let offset = |(at, held): (&TopicPartition, &Position)| Offset {
        topic: at.topic,
        partition: at.partition,
        next_offset: held.next_offset,
        last_time: held.last_time,
    };
    positions.iter().map(offset).collect()
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a path stays below the directory it is put in.
fn is_safe(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    path.split('/').all(plain)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn manifest(id: &str, created_at_ms: i64, files: &[(&str, &str)]) -> Manifest {
        let file =
            |(path, sha256): &(&str, &str)| File { path: (*path).to_owned(), bytes: 1, sha256: (*sha256).to_owned() };
        Manifest {
            manifest: MANIFEST,
            id: id.to_owned(),
            created_at: crate::feed::rfc3339(created_at_ms),
            created_at_ms,
            edgefeed: "0.1.0".to_owned(),
            format: FORMAT,
            ids: IdKind::U64,
            cluster: "c".to_owned(),
            node: "n".to_owned(),
            offsets: Vec::new(),
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn a_manifest_is_believed_only_whole() {
        let text = manifest("a", 5, &[("db/1.sst", "ab"), ("FORMAT", "cd")]).write().unwrap();
        let sum = digest(&text);
        assert_eq!(Manifest::read("m", &text, format!("{sum}\n").as_bytes()).unwrap().files.len(), 2);
        for at in 0..text.len() {
            let mut flipped = text.clone();
            flipped[at] ^= 1;
            let error = Manifest::read("b/manifest.json", &flipped, sum.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("b/manifest.json"), "{error}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_directory_is_damage() {
        for path in ["/etc/passwd", "../x", "db/../../x", "db//x", "", "."] {
            let text = manifest("a", 5, &[(path, "ab")]).write().unwrap();
            assert!(Manifest::read("m", &text, digest(&text).as_bytes()).is_err(), "{path}");
        }
    }

    #[test]
    fn what_a_newer_version_made_is_refused() {
        let newer = Manifest { format: FORMAT + 1, ..manifest("a", 5, &[]) };
        let text = newer.write().unwrap();
        let error = Manifest::read("m", &text, digest(&text).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("with that version"), "{error}");
    }
}
