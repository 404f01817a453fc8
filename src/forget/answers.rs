//! What is ordered and answered, as it travels between a running node and the command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An order to forget somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whom.
    pub user: String,
    /// Whether only to tell what that would remove.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Of whom.
    pub user: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Since when they are forgotten; `None` for somebody who is not.
    pub since: Option<String>,
    /// Entries of this node's store, by column family.
    pub store: BTreeMap<String, u64>,
    /// The same of the center.
    pub center: AtCenter,
}

/// How it went at the center.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AtCenter {
    /// There is none.
    None,
    /// All rows are gone, or were counted.
    Done {
        /// How many there were, by table.
        rows: BTreeMap<String, u64>,
    },
    /// It failed so far; a running node goes on trying.
    Pending {
        /// Why.
        why: String,
    },
}

impl AtCenter {
    pub(super) fn done(rows: BTreeMap<&'static str, u64>) -> Self {
        Self::Done { rows: super::owned(rows) }
    }
}
