//! A node started anew from a backup while it runs: fetched and compared beside the store that serves, opened as the next
//! generation, caught up with Kafka, and only then put in its place.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use edgefeed_storage::Store;
use edgefeed_sync::resync::Report;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::rebuild::Rebuilder;
use crate::backup::{Backups, Manifest, Wishes};
use crate::config::Config;
use crate::forget::Forgetter;
use crate::resync::{Job, Seen, Trouble};

/// Where a backup is put until it is known to be what it was: in the store's directory, so that it is moved in one step.
const STAGING: &str = "restoring";

impl Rebuilder {
    /// Begins to put a backup in the place of the store that serves.
    pub(super) fn restore(self: &Arc<Self>, backups: Backups, manifest: Manifest) -> Result<Seen, Trouble> {
        let this = Arc::clone(self);
        self.begin(Job::Restore, false, |report| async move { this.put_back(&backups, &manifest, &report).await })
    }

    async fn put_back(&self, backups: &Backups, manifest: &Manifest, report: &Report) -> Result<Value, String> {
        let begun = Instant::now();
        let dir = &self.grounds.config.storage.dir;
        clear(dir).await?;
        let fetched = tokio::select! {
            fetched = self.fetch(backups, manifest, report) => fetched,
            () = self.stopping() => Err("the node is stopping".to_owned()),
        };
        if let Err(why) = fetched {
            if let Err(left) = clear(dir).await {
                tracing::warn!("what came of the backup stays on disk: {left}");
            }
            return Err(why);
        }
        report.begin("catching up with Kafka");
        let epoch = match self.follow_on().await {
            Ok(epoch) => epoch,
            Err(why) => {
                self.discard().await;
                return Err(why);
            }
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(json!({
            "epoch": epoch,
            "backup": manifest.id,
            "node": manifest.node,
            "created_at": manifest.created_at,
            "bytes": manifest.bytes(),
            "took_ms": took_ms,
        }))
    }

    /// Fetches a backup, compares every byte of it, and leaves it closed.
    async fn fetch(&self, backups: &Backups, manifest: &Manifest, report: &Report) -> Result<(), String> {
        let config = &self.grounds.config;
        let wishes = Wishes {
            which: None,
            node: None,
            into: config.storage.dir.join(STAGING),
            // What the node it was made of had promised is that node's; what this one has is taken over from its own store.
            keep_local: false,
            storage: config.storage.clone(),
            options: config.store_options(),
        };
        let (id, whole) = (&manifest.id, manifest.bytes());
        let told = |come: u64| report.begin(&format!("fetching backup {id}: {come} of {whole} bytes"));
        told(0);
        let (_, store) = backups.put_back(manifest, &wishes, told).await.map_err(|error| error.to_string())?;
        closed(store).await
    }

    /// Opens what was fetched as the next epoch, lets it catch up, and has it answer from then on; tells its number.
    async fn follow_on(&self) -> Result<u32, String> {
        let serving = Arc::clone(&self.current.now().store);
        let (storage, held) = (self.grounds.config.storage.clone(), Arc::clone(&serving));
        let adopted = spawn_blocking(move || held.adopt(&storage, STAGING)).await;
        let epoch = adopted
            .map_err(|_| "taking the backup in panicked; this is a bug".to_owned())?
            .map_err(|error| error.to_string())?;
        let store = self.open(Arc::clone(&serving), epoch).await?;
        self.forget_again(serving, &store).await?;
        self.come_to_serve(store, epoch).await.map(|()| epoch)
    }

    /// Whoever was forgotten since the backup was made is forgotten in it before anybody is answered from it.
    async fn forget_again(&self, serving: Arc<Store>, store: &Arc<Store>) -> Result<(), String> {
        let restored = Arc::clone(store);
        let noted = spawn_blocking(move || restored.forget_like(&serving)).await;
        noted.map_err(|_| "forgetting panicked; this is a bug".to_owned())?.map_err(|error| error.to_string())?;
        let center = self.grounds.outside.as_ref().map(|outside| Arc::clone(&outside.center));
        let unasked = Forgetter::new(Arc::clone(store), center, Vec::new()).again().await;
        if let Some(why) = unasked.map_err(|error| error.to_string())? {
            tracing::warn!("who was forgotten since the backup is asked for again while the node runs: {why}");
        }
        Ok(())
    }

    /// Removes the epoch that did not come to serve.
    async fn discard(&self) {
        let (store, storage) = (Arc::clone(&self.current.now().store), self.grounds.config.storage.clone());
        match spawn_blocking(move || store.discard_unnoted(&storage)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("what came of the backup stays on disk: {error}"),
            Err(_) => tracing::error!("removing what came of a backup panicked; this is a bug"),
        }
    }
}

/// Closes a store, which may wait for the disk.
async fn closed(store: Arc<Store>) -> Result<(), String> {
    spawn_blocking(move || drop(store))
        .await
        .map_err(|_| "closing the restored store panicked; this is a bug".to_owned())
}

/// Removes what a restore that was cut off has left, before anybody can begin another job.
pub(super) async fn tidy(config: &Config, store: &Arc<Store>) {
    let (held, storage) = (Arc::clone(store), config.storage.clone());
    let left = clear(&storage.dir).await;
    let later = spawn_blocking(move || held.discard_unnoted(&storage).map_err(|error| error.to_string())).await;
    if let Err(why) = left.and(later.unwrap_or_else(|_| Err("removing it panicked; this is a bug".to_owned()))) {
        tracing::warn!("what a restore that was cut off has left stays on disk: {why}");
    }
}

/// Removes what was fetched of a backup.
async fn clear(dir: &Path) -> Result<(), String> {
    let staging = dir.join(STAGING);
    match tokio::fs::remove_dir_all(&staging).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("{}: {error}", staging.display())),
        _ => Ok(()),
    }
}
