//! What a node could be started from: the newest backups of its cluster, and why some of them will not do.

use edgefeed_storage::model::IdKind;
use serde::Serialize;

use super::Backups;
use super::manifest::Manifest;
use super::trouble::{Result, Trouble};

/// How many backups are looked at. What none of them can do, an older one cannot either.
const LOOKED_AT: usize = 8;

/// The newest backups of all nodes of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    /// Those that can be restored here as far as their manifests tell, the newest first.
    pub usable: Vec<Manifest>,
    /// The others.
    pub refused: Vec<Refused>,
}

/// A backup that will not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its name.
    pub backup: String,
    /// The node it was made of.
    pub node: String,
    /// Why not.
    pub why: String,
}

impl Backups {
    /// Looks at the newest backups but for those that `passed_over`, by node and name, leaves out.
    ///
    /// # Errors
    /// The place's. A backup that cannot be used is none: it is told among the refused.
    pub async fn newest(&self, ids: IdKind, passed_over: impl Fn(&str, &str) -> bool) -> Result<Newest> {
        let mut names = Vec::new();
        for node in self.depot.folders(&self.cluster).await? {
            let backups = self.depot.folders(&format!("{}/{node}/backups", self.cluster)).await?;
            names.extend(backups.into_iter().map(|id| (id, node.clone())));
        }
        names.retain(|(id, node)| !passed_over(node, id));
        // Names begin with the time.
        names.sort_unstable_by(|one, other| other.cmp(one));
        let mut newest = Newest::default();
        for (id, node) in names {
            if newest.usable.len() + newest.refused.len() == LOOKED_AT {
                break;
            }
            let sealed = self.sealed(&node, &id).await;
            match sealed.and_then(|sealed| sealed.map(|manifest| self.ours(manifest, ids)).transpose()) {
                Ok(Some(manifest)) => newest.usable.push(manifest),
                // It is being made, or never was finished.
                Ok(None) => {}
                Err(error @ (Trouble::Damaged { .. } | Trouble::Failed(_))) => {
                    newest.refused.push(Refused { backup: id, node, why: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    fn ours(&self, manifest: Manifest, ids: IdKind) -> Result<Manifest> {
        self.refuse_foreign(&manifest, ids).map(|()| manifest)
    }
}
