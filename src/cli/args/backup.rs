//! `edgefeed backup …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, StatusArgs};

/// What a backup is.
pub(super) const BACKUP: &str = "\
Copies of the store.

Made while the node goes on, kept in the directory or bucket that backup.url names, each with a manifest of its files, \
their checksums and the offsets up to which everything is applied. A node may restore a peer's: what belongs to one node \
alone, events it had promised and not yet sent, is left out unless --keep-spool is given.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BackupVerb {
    /// Make one, at the running node or of the store that nobody holds
    Create(StatusArgs),
    /// List those there are, newest first
    List(ListBackupsArgs),
    /// Read every byte of one again and compare
    Verify(VerifyArgs),
    /// Put one back, into an empty directory
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListBackupsArgs {
    /// Of all nodes of the cluster, not only of this one
    #[arg(long)]
    pub(in crate::cli) all: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Which one, by its name or the beginning of it; without it, the newest
    #[arg(value_name = "ID")]
    pub(in crate::cli) id: Option<String>,
    /// Of this node instead of the configured one
    #[arg(long)]
    pub(in crate::cli) node: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// Which one, by its name or the beginning of it; without it, the newest
    #[arg(value_name = "ID")]
    pub(in crate::cli) id: Option<String>,
    /// Of this node instead of the configured one
    #[arg(long)]
    pub(in crate::cli) node: Option<String>,
    /// Into this empty directory instead of storage.dir
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) into: Option<PathBuf>,
    /// Keep events that the backed-up node had accepted and not yet sent: only when that node is gone for good
    #[arg(long)]
    pub(in crate::cli) keep_spool: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
