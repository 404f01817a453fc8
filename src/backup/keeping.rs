//! Which backups are kept, and the removal of the others.

use super::manifest::Manifest;
use super::trouble::Result;
use super::{Backups, named};

const DAY_MS: i64 = 86_400_000;

impl Backups {
    /// Removes the backups of this node that need not be kept, and every file that no backup names any more. Gives back
    /// the names of the backups.
    ///
    /// # Errors
    /// The place's. A manifest that cannot be believed: then nothing is removed, because nobody knows what it names.
    pub(super) async fn prune(&self, now_ms: i64) -> Result<Vec<String>> {
        let mut manifests = Vec::new();
        for (node, id) in self.names(false).await? {
            manifests.push(self.manifest(&node, &id).await?);
        }
        let (kept, past) = sort(manifests, self.keep, self.keep_days, now_ms);
        for manifest in &past {
            let folder = self.folder(&self.node, &manifest.id);
            // In this order it is no backup any more before anything of it is missing.
            self.depot.delete(&format!("{folder}/manifest.sha256")).await?;
            self.depot.delete(&format!("{folder}/manifest.json")).await?;
        }
        self.sweep(&kept).await?;
        Ok(past.into_iter().map(|manifest| manifest.id).collect())
    }

    /// Removes files that no manifest names, and manifests that never were sealed. Nobody else writes here.
    async fn sweep(&self, kept: &[Manifest]) -> Result<()> {
        let named = named(kept);
        let own = format!("{}/{}", self.cluster, self.node);
        let objects = self.depot.list(&own).await?;
        for object in objects.keys() {
            let rest = object.strip_prefix(&own).unwrap_or_default();
            let stale = match rest.split('/').collect::<Vec<_>>()[..] {
                ["", "files", _, sha256] => !named.contains_key(sha256),
                ["", "backups", id, "manifest.json"] => !kept.iter().any(|manifest| manifest.id == id),
                _ => false,
            };
            if stale {
                self.depot.delete(object).await?;
            }
        }
        Ok(())
    }
}

/// Parts backups into those to keep and those to remove: a backup goes when there are `keep` newer ones, and it is older
/// than `keep_days`.
fn sort(mut manifests: Vec<Manifest>, keep: u32, keep_days: u32, now_ms: i64) -> (Vec<Manifest>, Vec<Manifest>) {
    manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.created_at_ms));
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let oldest = now_ms.saturating_sub(i64::from(keep_days) * DAY_MS);
    let mut place = 0;
    manifests.into_iter().partition(|manifest| {
        place += 1;
        place <= keep || manifest.created_at_ms > oldest
    })
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::manifest;
    use super::*;

    #[test]
    fn a_backup_goes_when_there_are_enough_newer_ones_and_it_is_old_enough() {
        let all = || (1..=5).map(|day| manifest(&day.to_string(), day * DAY_MS, &[])).collect::<Vec<_>>();
        let kept = |keep, days| {
            let (kept, past) = sort(all(), keep, days, 5 * DAY_MS + 1);
            assert_eq!(kept.len() + past.len(), 5);
            kept.into_iter().map(|manifest| manifest.id).collect::<Vec<_>>()
        };
        assert_eq!(kept(2, 0), ["5", "4"]);
        assert_eq!(kept(2, 3), ["5", "4", "3"], "the third day began a moment ago");
        assert_eq!(kept(9, 0).len(), 5);
    }
}
