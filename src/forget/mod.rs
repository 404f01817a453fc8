//! Forgetting a user: here, at the center, and everywhere else this node keeps something.
//!
//! The word is written first, here and at the center, and holds for ever. Removal follows, and is taken up again by the
//! jobs below when it was cut off; what a restored backup or a replay would bring back is refused by the word.

mod answers;
mod jobs;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use edgefeed_storage::StoreError;
use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_sync::center::{self, Center, Class};

pub use answers::{AtCenter, Forgotten, Order};
pub use jobs::Rounds;

use crate::feed::rfc3339;
use crate::inspect::id_of;
use crate::kept::Kept;

/// Something else of this process that keeps what is known of readers: it drops what it has of these.
pub type Hook = Arc<dyn Fn(&[Id]) + Send + Sync>;

/// Why forgetting did not go all the way.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What was asked cannot be; the text says why and what may be.
    #[error("{0}")]
    Asked(String),
    /// The store failed.
    #[error("storage.dir: {0}")]
    Store(#[from] StoreError),
    /// The center failed; a running node goes on trying.
    #[error("{0}")]
    Center(#[from] center::Error),
    /// A fault of ours.
    #[error("forgetting panicked; this is a bug")]
    Panicked,
}

/// The result of everything here.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// Forgets users of one store and its center.
#[derive(Clone)]
pub struct Forgetter {
    store: Kept,
    center: Option<Arc<Center>>,
    hooks: Vec<Hook>,
}

impl fmt::Debug for Forgetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forgetter").field("center", &self.center.is_some()).finish_non_exhaustive()
    }
}

impl Forgetter {
    /// Of a store, and of the center where there is one.
    pub fn new(store: impl Into<Kept>, center: Option<Arc<Center>>, hooks: Vec<Hook>) -> Self {
        Self { store: store.into(), center, hooks }
    }

    /// Forgets a user, or tells what forgetting would remove.
    ///
    /// # Errors
    /// An id of the other kind; the store's. That the center fails is part of the answer: the word is written here, and
    /// a running node goes on trying.
    pub async fn forget(&self, order: &Order, now_ms: TimestampMs) -> Result<Forgotten> {
        let user = id_of(self.store.now().ids(), &order.user).map_err(|error| Trouble::Asked(error.to_string()))?;
        if order.dry_run {
            return self.look(order, user).await;
        }
        let store = self.store.now();
        let (noted, removed) = waited(move || {
            store.forget(&[(user, now_ms)], true)?;
            let noted = store.forgotten(user)?.map_or(now_ms, |row| row.at);
            Ok((noted, store.sweep_forgotten(|| true)?.unwrap_or_default()))
        })
        .await?;
        for hook in &self.hooks {
            hook(&[user]);
        }
        tracing::warn!("an operator had a user forgotten");
        let center = match &self.center {
            None => AtCenter::None,
            Some(center) => match self.purge(center, &[(user, noted)]).await {
                Ok(removed) => AtCenter::done(removed),
                Err(error) => AtCenter::Pending { why: worded(&error) },
            },
        };
        Ok(Forgotten {
            user: order.user.clone(),
            dry_run: false,
            since: Some(rfc3339(noted)),
            store: owned(removed),
            center,
        })
    }

    async fn look(&self, order: &Order, user: Id) -> Result<Forgotten> {
        let store = self.store.now();
        let (since, kept) =
            waited(move || Ok((store.forgotten(user)?.map(|row| row.at), store.kept_of(user)?))).await?;
        let center = match &self.center {
            None => AtCenter::None,
            Some(center) => match center.rows_of(self.store.now().ids(), &[user]).await {
                Ok(rows) => AtCenter::done(rows),
                Err(error) => AtCenter::Pending { why: worded(&error) },
            },
        };
        let since = since.map(rfc3339);
        Ok(Forgotten { user: order.user.clone(), dry_run: true, since, store: owned(kept), center })
    }

    /// Notes users at the center and removes their rows there.
    async fn purge(&self, center: &Center, users: &[(Id, TimestampMs)]) -> Result<center::RowsOf, center::Error> {
        let ids = self.store.now().ids();
        center.note_forgotten(ids, users).await?;
        let users: Vec<Id> = users.iter().map(|(user, _)| *user).collect();
        center.purge(ids, &users).await
    }
}

/// Runs work on a thread that may wait.
async fn waited<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Trouble::Panicked))
}

fn owned(counts: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// An error of the center with its mend.
fn worded(error: &center::Error) -> String {
    match error.class() {
        Class::Systemic(center::SCHEMA) => format!("{error}; run `edgefeed migrate clickhouse`"),
        Class::Systemic(center::AUTH) => {
            format!("{error}; grant SELECT, INSERT and ALTER DELETE on the tables (docs/operations.md)")
        }
        _ => error.to_string(),
    }
}
