//! `edgefeed demo`, `check`, `migrate`, `openapi` and `completions`: what is done before and beside a node.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use edgefeed_storage::model::IdKind;

use super::Common;

#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// Users of the world
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(in crate::cli) users: u32,
    /// Posts of the world at the start
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub(in crate::cli) posts: u32,
    /// Live records a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(in crate::cli) rate: u32,
    /// Port of the feed on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(in crate::cli) port: u16,
    /// Port of the status page on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9090)]
    pub(in crate::cli) admin_port: u16,
    /// Stop after so many seconds; without it, run until interrupted
    #[arg(long, value_name = "S")]
    pub(in crate::cli) seconds: Option<u64>,
    /// Keep the node's state here; without it, a temporary directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
    /// Seed of the world: the same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub(in crate::cli) seed: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// Also try every dependency there is, a line each
    #[arg(long)]
    pub(in crate::cli) probe: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MigrateArgs {
    /// Whose tables; without it, of all that are configured
    #[arg(value_enum)]
    pub(in crate::cli) target: Option<MigrateTarget>,
    /// ClickHouse: make replicated tables on every server of this cluster
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) cluster: Option<String>,
    /// Print the statements and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// What has tables to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum MigrateTarget {
    /// The center
    Clickhouse,
    /// The application's database
    Postgres,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OpenapiArgs {
    /// What ids are in the deployment (node.ids)
    #[arg(long, value_enum, default_value_t = Ids::Uuid)]
    pub(in crate::cli) ids: Ids,
}

/// A kind of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Ids {
    /// UUIDs, as strings
    Uuid,
    /// 64-bit numbers
    U64,
}

impl From<Ids> for IdKind {
    fn from(ids: Ids) -> Self {
        match ids {
            Ids::Uuid => Self::Uuid,
            Ids::U64 => Self::U64,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(in crate::cli) shell: Shell,
}
