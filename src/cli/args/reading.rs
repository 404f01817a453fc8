//! `edgefeed explain`, `replay` and `inspect …`: what is asked of a node, and changes nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, StatusArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// On whose ranking
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) user: String,
    /// Which post
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) post: String,
    /// By which numbers: balanced, latest, friends, catch_up or quiet_voices
    #[arg(long, value_name = "NAME", default_value = "balanced")]
    pub(in crate::cli) preset: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayWeightsArgs {
    /// TOML file whose [ranking] section is tried; what it leaves out has its default
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) weights: PathBuf,
    /// How many of the newest recorded requests
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(in crate::cli) requests: u16,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum InspectVerb {
    /// A user as a reader: follows, blocks, hides, views, history by author
    User(InspectArgs),
    /// A post: its row, its counts, its events by hour
    Post(InspectArgs),
    /// A user as an author: posts and followers
    Author(InspectArgs),
    /// How far each partition is applied, and how far its log goes
    Offsets(StatusArgs),
    /// How much the store holds, by column family
    Store(StatusArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    /// Which one
    #[arg(value_name = "ID")]
    pub(in crate::cli) id: String,
    /// How many of each list
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(in crate::cli) limit: u16,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
