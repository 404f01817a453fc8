//! What a running node does about forgotten users by itself: takes up what was cut off, learns from the center whom
//! others had forgotten, and sees to it that nothing of them stays there.

use std::time::{Duration, Instant};

use edgefeed_storage::Removed;
use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_sync::center::Center;

use super::{Forgetter, Result, Trouble, waited};

/// How many users one purge is for.
const USERS_AT_ONCE: usize = 500;
/// How long after a user was forgotten an insert that was on its way may still bring a row of theirs to the center. The
/// look for rows that came even later goes on for ever, hourly.
const SETTLED_MS: i64 = 120_000;
/// How often the whole center is looked through for rows that should not be there.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// What is left to do at the center, between two rounds.
#[derive(Debug, Default)]
pub struct Rounds {
    looked: Option<Instant>,
}

impl Forgetter {
    /// Removes from the store what is left of forgotten users; `None` when nothing was left.
    ///
    /// # Errors
    /// The store's.
    pub fn sweep(&self, go_on: impl Fn() -> bool) -> Result<Option<Removed>> {
        Ok(self.store.now().sweep_forgotten(go_on)?)
    }

    /// Notes here whom the center says are forgotten; gives back how many of them were news.
    ///
    /// # Errors
    /// The center's and the store's.
    pub async fn learn(&self) -> Result<usize> {
        let Some(center) = &self.center else { return Ok(0) };
        let known = center.forgotten(self.store.now().ids()).await?;
        let store = self.store.now();
        waited(move || Ok(store.forget(&known, false)?.len())).await
    }

    /// In a store that was put back from a backup: forgets whoever the center names, and removes what is kept of those and
    /// of all who are noted here. The reason where the center could not be asked: a running node does so later.
    ///
    /// # Errors
    /// The store's.
    pub async fn again(&self) -> Result<Option<String>> {
        let unasked = match self.learn().await {
            Ok(_) => None,
            Err(error @ Trouble::Center(_)) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        let this = self.clone();
        waited(move || this.sweep(|| true)).await?;
        Ok(unasked)
    }

    /// One round at the center, for a node that writes there: notes whom this node has forgotten, removes their rows, and
    /// every hour looks whether any came back.
    ///
    /// # Errors
    /// The center's and the store's; the next round goes on.
    pub async fn settle(&self, rounds: &mut Rounds, now_ms: TimestampMs) -> Result<()> {
        let Some(center) = &self.center else { return Ok(()) };
        let mut untold: Vec<(Id, TimestampMs)> = Vec::new();
        self.store.now().each_forgotten(|user, row| {
            if !row.told {
                untold.push((user, row.at));
            }
        })?;
        for users in untold.chunks(USERS_AT_ONCE) {
            self.tell(center, users, now_ms).await?;
        }
        if rounds.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            let revived = center.revived(self.store.now().ids()).await?;
            for users in revived.chunks(USERS_AT_ONCE) {
                let removed = center.purge(self.store.now().ids(), users).await?;
                tracing::warn!(?removed, "rows of forgotten users had come to the center and were removed");
            }
            rounds.looked = Some(Instant::now());
        }
        Ok(())
    }

    async fn tell(&self, center: &Center, users: &[(Id, TimestampMs)], now_ms: TimestampMs) -> Result<()> {
        let removed = self.purge(center, users).await?;
        if !removed.is_empty() {
            tracing::info!(users = users.len(), ?removed, "forgotten at the center");
        }
        // Those of whom an insert may be on its way are looked at again in the next round.
        let settled = |(_, at): &&(Id, TimestampMs)| now_ms.saturating_sub(*at) >= SETTLED_MS;
        let settled: Vec<Id> = users.iter().filter(settled).map(|(user, _)| *user).collect();
        let store = self.store.now();
        waited(move || Ok(store.told_forgotten(&settled)?)).await
    }
}
