//! Reads every byte of a backup again.

use serde::{Deserialize, Serialize};

use super::manifest::{File, Manifest};
use super::trouble::{Result, Trouble};
use super::{Backups, Line};

/// What reading a backup again showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The backup.
    pub backup: Line,
    /// The files that are not what they were.
    pub bad: Vec<Bad>,
}

/// A file that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// Its path below the store's directory.
    pub path: String,
    /// Its name where backups are kept.
    pub stored_as: String,
    /// What is wrong.
    pub detail: String,
}

impl Backups {
    /// Reads every file of a backup, the newest without a name, and compares. A file that two names share is read twice.
    ///
    /// # Errors
    /// The place's; a manifest that cannot be believed.
    pub async fn verify(&self, node: Option<&str>, which: Option<&str>) -> Result<Verified> {
        let manifest = self.find(node, which).await?;
        let mut bad = Vec::new();
        for file in &manifest.files {
            let stored_as = self.place(&manifest.node, &file.sha256);
            let found = self.depot.read(&stored_as, None).await?;
            if let Some(detail) = fault(file, found) {
                bad.push(Bad { path: file.path.clone(), stored_as, detail });
            }
        }
        Ok(Verified { backup: Line::of(&manifest), bad })
    }

    /// Fetches one file of a backup.
    pub(super) async fn fetch(&self, manifest: &Manifest, file: &File, into: &mut tokio::fs::File) -> Result<()> {
        let stored_as = self.place(&manifest.node, &file.sha256);
        let found = self.depot.read(&stored_as, Some(into)).await?;
        match fault(file, found) {
            Some(detail) => Err(Trouble::Damaged { file: format!("{} ({stored_as})", file.path), detail }),
            None => Ok(()),
        }
    }
}

/// What is wrong with a file, given the length and checksum that were read.
fn fault(file: &File, found: Option<(u64, String)>) -> Option<String> {
    match found {
        None => Some("it is missing".to_owned()),
        Some((bytes, _)) if bytes != file.bytes => Some(format!("it has {bytes} bytes instead of {}", file.bytes)),
        Some((_, sum)) if sum != file.sha256 => Some(format!("its SHA-256 is {sum}")),
        Some(_) => None,
    }
}
