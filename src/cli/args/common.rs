//! What verbs have in common.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{Config, Inputs, load};
use crate::failure::Failure;

/// Where the configuration comes from, beside the environment.
#[derive(Debug, Args)]
pub(in crate::cli) struct Sources {
    /// TOML file with the configuration; see edgefeed.example.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one value above file and environment; may be given often
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

impl Sources {
    pub(in crate::cli) fn into_inputs(self) -> Inputs {
        Inputs::of_process(self.config, self.set)
    }

    /// The configuration, or every problem it has.
    pub(in crate::cli) fn load(self) -> Result<Config, Failure> {
        Ok(load(&self.into_inputs()).map_err(|problems| Failure::config(&problems))?.config)
    }
}

/// What every verb takes that needs the configuration and prints data.
#[derive(Debug, Args)]
pub(in crate::cli) struct Common {
    #[command(flatten)]
    pub(in crate::cli) sources: Sources,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(in crate::cli) output: Output,
}

/// How a verb prints data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Output {
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

/// Of a verb that has nothing of its own to say.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// Of `edgefeed version`, which needs no configuration.
#[derive(Debug, Args)]
pub(in crate::cli) struct VersionArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(in crate::cli) output: Output,
}
