//! Backups of the store: made while the node goes on, kept in a directory or a bucket, believed by checksum only.
//!
//! Below `<cluster>/<node>/` lie the files, each under its own SHA-256, so that what is there already is not sent again;
//! and a folder a backup, with the manifest that names its files and, written last, the manifest's own checksum: what
//! has none is no backup. A node writes below its own name only, and may read everybody's.

mod config;
mod create;
mod depot;
mod keeper;
mod keeping;
mod manifest;
mod newest;
mod restore;
mod trouble;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use config::Config;
pub use create::Created;
pub use keeper::{Keeper, State};
pub use manifest::{File, Manifest, Offset};
pub use newest::{Newest, Refused};
pub use restore::{Restored, Wishes};
pub use trouble::{Result, Trouble};
pub use verify::{Bad, Verified};

use depot::Depot;
use manifest::Owner;

/// The backups of one node, and those of its peers.
#[derive(Clone, Debug)]
pub struct Backups {
    depot: Depot,
    cluster: String,
    node: String,
    keep: u32,
    keep_days: u32,
}

/// One backup of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub id: String,
    /// The node it was made of.
    pub node: String,
    /// When.
    pub created_at: String,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Kafka's time of the oldest of the last records applied, by partition: how far it reaches. Empty: nowhere.
    pub applied_through: String,
    /// The version that made it.
    pub edgefeed: String,
    /// Why it cannot be used; `None` when its manifest can be read.
    pub damaged: Option<String>,
}

/// A list of backups, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The backups.
    pub backups: Vec<Line>,
}

impl Backups {
    /// Those of this node.
    ///
    /// # Errors
    /// A place that is not named or cannot be opened. A bucket is not asked yet.
    pub fn open(config: &crate::config::Config) -> Result<Self> {
        Ok(Self {
            depot: Depot::open(&config.backup)?,
            cluster: config.node.cluster.clone(),
            node: plain(&config.node.display_name()),
            keep: config.backup.keep,
            keep_days: config.backup.keep_days,
        })
    }

    /// Whether the place answers: what `check --probe` asks.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn probe(&self) -> Result<()> {
        let name = format!("{}/{}/probe", self.cluster, self.node);
        self.depot.put(&name, b"edgefeed\n".to_vec()).await?;
        self.depot.delete(&name).await
    }

    /// Every backup of this node, or of all nodes of the cluster, the newest first. One that cannot be read is listed
    /// with the reason.
    ///
    /// # Errors
    /// The place's.
    pub async fn list(&self, all: bool) -> Result<Listing> {
        let mut backups = Vec::new();
        for (node, id) in self.names(all).await? {
            backups.push(match self.manifest(&node, &id).await {
                Ok(manifest) => Line::of(&manifest),
                Err(error @ (Trouble::Damaged { .. } | Trouble::Failed(_))) => Line::damaged(node, id, &error),
                Err(error) => return Err(error),
            });
        }
        // Names begin with the time.
        backups.sort_by(|one, other| (&other.id, &one.node).cmp(&(&one.id, &other.node)));
        Ok(Listing { backups })
    }

    /// Node and name of each complete backup.
    async fn names(&self, all: bool) -> Result<Vec<(String, String)>> {
        let above = if all { self.cluster.clone() } else { format!("{}/{}", self.cluster, self.node) };
        let mut names = Vec::new();
        for object in self.depot.list(&above).await?.into_keys() {
            if let [_, node, "backups", id, "manifest.sha256"] = object.split('/').collect::<Vec<_>>()[..] {
                names.push((node.to_owned(), id.to_owned()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The manifest of a backup.
    async fn manifest(&self, node: &str, id: &str) -> Result<Manifest> {
        let sealed = self.sealed(node, id).await?;
        sealed.ok_or_else(|| missing(format!("{}/manifest.sha256", self.folder(node, id))))
    }

    /// The same; `None` of what is no backup, or not yet.
    async fn sealed(&self, node: &str, id: &str) -> Result<Option<Manifest>> {
        let folder = self.folder(node, id);
        let name = format!("{folder}/manifest.json");
        let Some(sum) = self.depot.get(&format!("{folder}/manifest.sha256")).await? else { return Ok(None) };
        let text = self.depot.get(&name).await?.ok_or_else(|| missing(name.clone()))?;
        let manifest = Manifest::read(&name, &text, &sum)?;
        if (manifest.node.as_str(), manifest.id.as_str()) != (node, id) {
            let detail = format!("it is the manifest of {} of {}", manifest.id, manifest.node);
            return Err(Trouble::Damaged { file: name, detail });
        }
        Ok(Some(manifest))
    }

    /// One backup, by its name or a beginning of it that no other has; the newest of this node, or of the node named,
    /// without one.
    async fn find(&self, node: Option<&str>, which: Option<&str>) -> Result<Manifest> {
        let node = node.map(plain);
        let names = self.names(node.is_some() || which.is_some()).await?;
        let of_node = |(owner, _): &&(String, String)| node.as_ref().is_none_or(|node| owner == node);
        let fits = |(_, id): &&(String, String)| which.is_none_or(|which| id.starts_with(which));
        let mut found: Vec<_> = names.iter().filter(of_node).filter(fits).collect();
        found.sort_by(|one, other| other.1.cmp(&one.1));
        match (found.as_slice(), which) {
            ([], Some(which)) => {
                Err(Trouble::Asked(format!("there is no backup {which}; see `edgefeed backup list --all`")))
            }
            ([], None) => {
                let node = node.unwrap_or_else(|| self.node.clone());
                Err(Trouble::Failed(format!("there is no backup of node {node}; see `edgefeed backup list --all`")))
            }
            ([_, _, ..], Some(which)) if found.iter().any(|(_, id)| id != &found[0].1 || id != which) => {
                Err(Trouble::Asked(format!("{} backups begin with {which}; give more of the name", found.len())))
            }
            ([(node, id), ..], _) => self.manifest(node, id).await,
        }
    }

    fn owner(&self) -> Owner<'_> {
        Owner { cluster: &self.cluster, node: &self.node }
    }

    fn folder(&self, node: &str, id: &str) -> String {
        format!("{}/{node}/backups/{id}", self.cluster)
    }

    /// Where a file lies.
    fn place(&self, node: &str, sha256: &str) -> String {
        let (head, _) = sha256.split_at_checked(2).unwrap_or(("--", sha256));
        format!("{}/{node}/files/{head}/{sha256}", self.cluster)
    }
}

impl Line {
    fn of(manifest: &Manifest) -> Self {
        let oldest = manifest.offsets.iter().map(|offset| offset.last_time).min();
        Self {
            id: manifest.id.clone(),
            node: manifest.node.clone(),
            created_at: manifest.created_at.clone(),
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            applied_through: oldest.map(crate::feed::rfc3339).unwrap_or_default(),
            edgefeed: manifest.edgefeed.clone(),
            damaged: None,
        }
    }

    fn damaged(node: String, id: String, why: &Trouble) -> Self {
        let none = String::new;
        let damaged = Some(why.to_string());
        let (created_at, applied_through, edgefeed) = (none(), none(), none());
        Self { id, node, created_at, files: 0, bytes: 0, applied_through, edgefeed, damaged }
    }
}

fn missing(file: String) -> Trouble {
    Trouble::Damaged { file, detail: "it is missing".to_owned() }
}

/// A node's name as it can stand between two slashes everywhere.
fn plain(name: &str) -> String {
    let keep = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let plain: String = name.chars().map(keep).collect();
    // Names of dots alone are not names.
    if plain.chars().all(|letter| letter == '.') { format!("_{plain}") } else { plain }
}

/// Files of some manifests, each with its length.
fn named(manifests: &[Manifest]) -> BTreeMap<&str, u64> {
    manifests.iter().flat_map(|manifest| &manifest.files).map(|file| (file.sha256.as_str(), file.bytes)).collect()
}
