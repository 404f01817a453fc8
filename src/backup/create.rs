//! Makes a backup: copies the store, sends what is not there yet, and then says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgefeed_storage::{Checkpoint, Store};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::fs;

use super::depot::next_chunk;
use super::manifest::{File, Manifest, digest, hexadecimal};
use super::trouble::{Result, Trouble};
use super::{Backups, Line};

/// Where a store's copy lies while it is sent: beside the store, so that its files are links.
const STAGING: &str = "backup-staging";

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// What it is.
    pub backup: Line,
    /// Files that were sent; the others were there already.
    pub sent_files: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Older backups that were removed afterwards.
    pub removed: Vec<String>,
    /// Why older backups could not be removed; the backup itself stands.
    pub not_removed: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Takes the copy away again, whatever happens; what a crash leaves, the next one takes away.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "the copy of a backup could not be removed");
        }
    }
}

impl Backups {
    /// Makes a backup of a store; `dir` is `storage.dir`. Call it once at a time.
    ///
    /// # Errors
    /// The store's, the place's and the file system's. What was sent stays, and is not sent again.
    pub async fn create(&self, store: Arc<Store>, dir: &Path, now_ms: i64) -> Result<Created> {
        let begun = std::time::Instant::now();
        let staging = Staging(dir.join(STAGING));
        let copy = copy(store, staging.0.clone()).await?;
        let there = self.depot.list(&format!("{}/{}/files", self.cluster, self.node)).await?;
        let (mut files, mut sent_files, mut sent_bytes) = (Vec::new(), 0, 0);
        for file in &copy.files {
            let source = staging.0.join(&file.path);
            let sum = sum_of(&source).await?;
            let place = self.place(&self.node, &sum);
            // A file of another length under this name was cut short: it is sent again.
            if there.get(&place) != Some(&file.bytes) {
                self.depot.put_file(&place, &source).await?;
                (sent_files, sent_bytes) = (sent_files + 1, sent_bytes + file.bytes);
            }
            files.push(File { path: file.path.clone(), bytes: file.bytes, sha256: sum });
        }
        drop(staging);
        let manifest = Manifest::new(name(now_ms), now_ms, &self.owner(), &copy, files);
        self.seal(&manifest).await?;
        let (removed, not_removed) = match self.prune(now_ms).await {
            Ok(removed) => (removed, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Created { backup: Line::of(&manifest), sent_files, sent_bytes, removed, not_removed, took_ms })
    }

    /// Everything is there: from now on it is a backup.
    async fn seal(&self, manifest: &Manifest) -> Result<()> {
        let folder = self.folder(&self.node, &manifest.id);
        let text = manifest.write()?;
        let sum = format!("{}\n", digest(&text));
        self.depot.put(&format!("{folder}/manifest.json"), text).await?;
        self.depot.put(&format!("{folder}/manifest.sha256"), sum.into_bytes()).await
    }
}

/// Copies the store into `into`, in place of what a crash may have left there.
async fn copy(store: Arc<Store>, into: PathBuf) -> Result<Checkpoint> {
    let work = move || {
        match std::fs::remove_dir_all(&into) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Trouble::io(&into)(error)),
            _ => {}
        }
        Ok(store.checkpoint(&into)?)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(copy) => copy,
        Err(_) => Err(Trouble::Failed("copying the store panicked; this is a bug".to_owned())),
    }
}

/// SHA-256 of a file.
async fn sum_of(file: &Path) -> Result<String> {
    let mut read = fs::File::open(file).await.map_err(Trouble::io(file))?;
    let mut sum = Sha256::new();
    while let Some(chunk) = next_chunk(&mut read).await.map_err(Trouble::io(file))? {
        sum.update(&chunk);
    }
    Ok(hexadecimal(&sum.finalize()))
}

/// A name that orders by time, to the millisecond: `20261125T181500123Z-3f9a`.
fn name(now_ms: i64) -> String {
    let time: String = crate::feed::rfc3339(now_ms).chars().filter(|letter| !"-:.Z".contains(*letter)).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{time}Z-{}", &random[..4])
}
