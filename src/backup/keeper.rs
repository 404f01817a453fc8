//! Backups of a running node: one at a time, begun by an operator or by the clock, with an account of the last.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Backups;
use super::create::Created;
use super::trouble::{Result, Trouble};
use crate::clock::now_ms;
use crate::kept::Kept;
use crate::metrics;

/// How the node's backups stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Since when one is being made, in RFC 3339.
    pub running_since: Option<String>,
    /// The number of the last that ended, or of the running one: of this process, from 1 on.
    pub number: u64,
    /// The last that was made.
    pub last: Option<Created>,
    /// Why the last one failed; `None` when it did not.
    pub failed: Option<String>,
}

/// Makes backups of one store.
#[derive(Debug)]
pub struct Keeper {
    backups: Result<Backups, String>,
    store: Kept,
    dir: PathBuf,
    state: Mutex<State>,
}

impl Keeper {
    /// Of a store; without a place for backups each one that is asked for fails with the reason.
    pub fn new(config: &crate::config::Config, store: impl Into<Kept>) -> Arc<Self> {
        Arc::new(Self {
            backups: Backups::open(config).map_err(|error| error.to_string()),
            store: store.into(),
            dir: config.storage.dir.clone(),
            state: Mutex::default(),
        })
    }

    /// How they stand.
    pub fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Begins one, to go on whoever waits for it; gives back its number.
    ///
    /// # Errors
    /// There is no place, or one is being made.
    pub fn begin(self: &Arc<Self>) -> Result<u64> {
        if let Err(why) = &self.backups {
            return Err(Trouble::Asked(why.clone()));
        }
        let number = {
            let mut state = self.state.lock();
            if let Some(since) = &state.running_since {
                return Err(Trouble::Failed(format!("a backup is being made since {since}; wait for its end")));
            }
            state.running_since = Some(crate::feed::rfc3339(now_ms()));
            state.number += 1;
            state.number
        };
        let keeper = Arc::clone(self);
        tokio::spawn(async move { keeper.make().await });
        Ok(number)
    }

    async fn make(&self) {
        // Ends the run even when it panics.
        let _running = Running(self);
        let Ok(backups) = &self.backups else { return };
        let made = backups.create(self.store.now(), &self.dir, now_ms()).await;
        let mut state = self.state.lock();
        match made {
            Ok(created) => {
                let backup = &created.backup;
                tracing::info!(id = backup.id, files = backup.files, sent_bytes = created.sent_bytes, "backup made");
                if let Some(why) = &created.not_removed {
                    tracing::warn!(why, "older backups could not be removed");
                }
                metrics::job_done("backup", now_ms());
                state.last = Some(created);
                state.failed = None;
            }
            Err(error) => {
                tracing::error!(%error, "backup failed");
                state.failed = Some(error.to_string());
            }
        }
    }
}

struct Running<'a>(&'a Keeper);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running_since = None;
    }
}
