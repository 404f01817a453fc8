//! Puts a backup back, into an empty directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgefeed_storage::model::IdKind;
use edgefeed_storage::{OpenOptions, Store};
use serde::{Deserialize, Serialize};
use tokio::fs;

use super::manifest::{Manifest, offsets};
use super::trouble::{Result, Trouble};
use super::{Backups, Line};

/// Says that a directory is being filled, and from which backup: such a one may be emptied and filled anew.
const MARK: &str = "RESTORING";

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Which backup, by its name; the newest of the node without one.
    pub which: Option<String>,
    /// Of which node; this one without one.
    pub node: Option<String>,
    /// Into which directory.
    pub into: PathBuf,
    /// Whether the node that begins there takes over events that the one before had promised and not yet sent.
    pub keep_local: bool,
    /// How stores are opened here.
    pub storage: edgefeed_storage::Config,
    /// The same, of the node.
    pub options: OpenOptions,
}

/// A backup that was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// What it was.
    pub backup: Line,
    /// The directory, which is a store now.
    pub dir: String,
    /// Entries of the node it was made of that were left out.
    pub left_out: u64,
}

impl Backups {
    /// Fetches a backup into an empty directory, comparing every byte; opens the store and compares its offsets.
    ///
    /// # Errors
    /// A directory that is not empty, a backup of other ids or another cluster, a damaged file: then there is no store
    /// in the directory, and it may be tried again.
    pub async fn restore(&self, wishes: &Wishes) -> Result<(Restored, Arc<Store>)> {
        refuse_taken(&wishes.into).await?;
        let manifest = self.find(wishes.node.as_deref(), wishes.which.as_deref()).await?;
        self.put_back(&manifest, wishes, |_| {}).await
    }

    /// The same of a backup whose manifest was read; `told` hears how many bytes have come.
    ///
    /// # Errors
    /// Those of [`Backups::restore`].
    pub async fn put_back(
        &self,
        manifest: &Manifest,
        wishes: &Wishes,
        told: impl Fn(u64),
    ) -> Result<(Restored, Arc<Store>)> {
        let (into, mut come) = (&wishes.into, 0_u64);
        refuse_taken(into).await?;
        self.refuse_foreign(manifest, wishes.options.ids)?;
        begin(into, &manifest.id).await?;
        // The last file is the one without which there is no store.
        for file in &manifest.files {
            let path = into.join(&file.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).await.map_err(Trouble::io(parent))?;
            }
            // It bears its name once it is known to be what it was.
            let part = path.with_added_extension("part");
            let mut write = fs::File::create(&part).await.map_err(Trouble::io(&part))?;
            self.fetch(manifest, file, &mut write).await?;
            write.sync_all().await.map_err(Trouble::io(&part))?;
            fs::rename(&part, &path).await.map_err(Trouble::io(&path))?;
            come += file.bytes;
            told(come);
        }
        end(into).await?;
        let (store, left_out) = open(wishes, manifest).await?;
        let restored = Restored { backup: Line::of(manifest), dir: into.display().to_string(), left_out };
        Ok((restored, store))
    }

    pub(super) fn refuse_foreign(&self, manifest: &Manifest, ids: IdKind) -> Result<()> {
        if manifest.ids != ids {
            let (found, wanted) = (manifest.ids.name(), ids.name());
            return Err(Trouble::Failed(format!(
                "{} has node.ids = \"{found}\", the configuration says \"{wanted}\"; give that of its deployment",
                manifest.id
            )));
        }
        if manifest.cluster != self.cluster {
            return Err(Trouble::Failed(format!(
                "{} is of cluster {}, node.cluster is {}; its offsets mean nothing here",
                manifest.id, manifest.cluster, self.cluster
            )));
        }
        Ok(())
    }
}

/// A directory with anything in it is not touched, unless it is a restore that was cut off.
async fn refuse_taken(into: &Path) -> Result<()> {
    let mut entries = match fs::read_dir(into).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Trouble::io(into)(error)),
    };
    if entries.next_entry().await.map_err(Trouble::io(into))?.is_none() {
        return Ok(());
    }
    if into.join(MARK).exists() && !into.join("FORMAT").exists() {
        return Ok(());
    }
    let what = if into.join("FORMAT").exists() { "holds a store" } else { "is not empty" };
    let dir = into.display();
    Err(Trouble::Failed(format!("{dir} {what}; name an empty directory with --into, or move it away")))
}

/// Empties what an earlier restore left, and says that this one has begun.
async fn begin(into: &Path, id: &str) -> Result<()> {
    let made = into.to_owned();
    let (mark, id) = (into.join(MARK), id.to_owned());
    let work = move || {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&made)?;
        if mark.exists() {
            for entry in std::fs::read_dir(&made)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => std::fs::remove_dir_all(entry.path())?,
                    false if entry.path() != mark => std::fs::remove_file(entry.path())?,
                    false => {}
                }
            }
        }
        std::fs::write(&mark, id)?;
        std::fs::File::open(&made)?.sync_all()
    };
    waited(into, work).await
}

/// Everything is there and synced: the mark goes.
async fn end(into: &Path) -> Result<()> {
    let dir = into.to_owned();
    let work = move || {
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::File::open(entry.path())?.sync_all()?;
            }
        }
        std::fs::remove_file(dir.join(MARK))?;
        std::fs::File::open(&dir)?.sync_all()
    };
    waited(into, work).await
}

async fn waited(dir: &Path, work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<()> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Trouble::io(dir)),
        Err(_) => Err(Trouble::Failed("preparing the directory panicked; this is a bug".to_owned())),
    }
}

/// Opens the store, compares how far it has come, and takes out what is not this node's.
async fn open(wishes: &Wishes, manifest: &Manifest) -> Result<(Arc<Store>, u64)> {
    let config = edgefeed_storage::Config { dir: wishes.into.clone(), ..wishes.storage.clone() };
    let (options, keep_local, expected) = (wishes.options, wishes.keep_local, manifest.offsets.clone());
    let id = manifest.id.clone();
    let work = move || {
        let store = Store::open(&config, options)?;
        if offsets(&store.positions()?) != expected {
            let detail = "the store in it has other offsets than its manifest names".to_owned();
            return Err(Trouble::Damaged { file: id, detail });
        }
        let left_out = if keep_local { 0 } else { store.clear_node_local()? };
        Ok((Arc::new(store), left_out))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(opened) => opened,
        Err(_) => Err(Trouble::Failed("opening the restored store panicked; this is a bug".to_owned())),
    }
}
