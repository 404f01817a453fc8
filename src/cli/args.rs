//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::Inputs;

/// An edge node that ranks personalised social feeds where the readers are.
#[derive(Debug, Parser)]
#[command(name = "edgefeed", version, disable_version_flag = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the node
    Serve(Sources),
    /// Run everything in one process on a synthetic world: broker, writer, node
    Demo(DemoArgs),
    /// Check a configuration and name the source of each value
    Check(CheckArgs),
    /// Make the tables of ClickHouse and PostgreSQL, each statement once
    Migrate(MigrateArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the version
    Version(VersionArgs),
}

/// Where the configuration comes from, beside the environment.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// TOML file with the configuration; see edgefeed.example.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one value above file and environment; may be given often
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

impl Sources {
    pub(super) fn into_inputs(self) -> Inputs {
        Inputs::of_process(self.config, self.set)
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Whose tables; without it, of all that are configured
    #[arg(value_enum)]
    pub(super) target: Option<MigrateTarget>,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// ClickHouse: make replicated tables on every server of this cluster
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// Print the statements and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// What has tables to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MigrateTarget {
    /// The center
    Clickhouse,
    /// The application's database
    Postgres,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Users of the world
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(super) users: u32,
    /// Posts of the world at the start
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub(super) posts: u32,
    /// Live records a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) rate: u32,
    /// Port of the feed on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(super) port: u16,
    /// Port of the status page on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9090)]
    pub(super) admin_port: u16,
    /// Stop after so many seconds; without it, run until interrupted
    #[arg(long, value_name = "S")]
    pub(super) seconds: Option<u64>,
    /// Keep the node's state here; without it, a temporary directory
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Seed of the world: the same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct VersionArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// How a verb prints data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write section.key=value".to_owned()),
    }
}
