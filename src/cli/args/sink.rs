//! `edgefeed sink …`

use clap::{Args, Subcommand};
use edgefeed_sync::sink::From;

use super::{Common, StatusArgs};
use crate::cli::sink;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SinkVerb {
    /// How every partition stands: what is committed, how far behind, and why one waits
    Status(StatusArgs),
    /// Order the sink to go on
    Resume(ResumeArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    /// From what the center holds (nothing is lost, nothing doubled), from the first record Kafka has, or from an offset
    #[arg(long, value_name = "center|earliest|OFFSET", value_parser = sink::from)]
    pub(in crate::cli) from: From,
    /// Accept that the log is read anew under a new epoch; views then count again what they counted before
    #[arg(long)]
    pub(in crate::cli) accept_reset: bool,
    /// One partition instead of all
    #[arg(long, value_name = "TOPIC-PARTITION")]
    pub(in crate::cli) partition: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
