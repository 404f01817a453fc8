//! `edgefeed resync …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, StatusArgs};

/// What the jobs against the center are.
pub(super) const RESYNC: &str = "\
Batch jobs against ClickHouse.

A running node does them itself and goes on answering meanwhile; where nobody has the store, they are done here. A job \
that was stopped or killed goes on where it stood when it is ordered again.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ResyncVerb {
    /// Build a new or damaged node from the center: everything below the sink's offsets, and Kafka from there on
    Bootstrap(ResyncArgs),
    /// Replace histories of days that are over by the center's, base and own counts alike
    Refresh(RefreshArgs),
    /// Hold node, center and Kafka's log against each other; changes nothing, exits 1 where they differ
    Verify(StatusArgs),
    /// Do the same and put right what differs, from the side that is right; --dry-run is verify
    Repair(ResyncArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResyncArgs {
    /// Say what would be done and do nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RefreshArgs {
    /// Of everybody the center knows, not only of readers this node has history of
    #[arg(long, conflicts_with = "users")]
    pub(in crate::cli) all: bool,
    /// Of the users in this file, one id a line
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) users: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) resync: ResyncArgs,
}
