//! `edgefeed dlq …`

use clap::{Args, Subcommand};

use super::Common;

/// What a dead letter is.
pub(super) const DLQ: &str = "\
Records that could not be used.

Every node keeps the newest of them in its own store: list, show, drop and accept work on that one, at the running node \
or without one. The nodes of role \"sink\" also write them to Kafka, to the topic <sink.dead_letter_prefix><topic>, which \
all nodes share: replay works on that one, and drop with --kafka too.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DlqVerb {
    /// List the node's dead letters, newest first
    List(ListArgs),
    /// Show one dead letter, its record byte for byte
    Show(ShowArgs),
    /// Send records from the dead-letter topic to their own topic once more
    Replay(ReplayArgs),
    /// Drop dead letters
    Drop(DropArgs),
    /// Accept the bad records of a partition, so that they stop the sink no longer
    Accept(AcceptArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only of this topic
    #[arg(long)]
    pub(in crate::cli) topic: Option<String>,
    /// Only with this reason, such as malformed or bad_id
    #[arg(long)]
    pub(in crate::cli) reason: Option<String>,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(in crate::cli) limit: u16,
    /// Go on where a list ended
    #[arg(long)]
    pub(in crate::cli) cursor: Option<String>,
    /// Only how many there are, by topic and reason
    #[arg(long, conflicts_with_all = ["topic", "reason", "cursor"])]
    pub(in crate::cli) counts: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Which one, as `dlq list` names it
    #[arg(value_name = "TOPIC-PARTITION-OFFSET")]
    pub(in crate::cli) key: String,
    /// Write the record's value and nothing else
    #[arg(long, conflicts_with = "output")]
    pub(in crate::cli) raw: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// The topic the records stood in
    #[arg(long)]
    pub(in crate::cli) topic: String,
    /// Only this dead letter
    #[arg(long, value_name = "TOPIC-PARTITION-OFFSET")]
    pub(in crate::cli) key: Option<String>,
    /// Only with this reason, such as malformed or bad_id
    #[arg(long)]
    pub(in crate::cli) reason: Option<String>,
    /// Only records of this time (2026-11-22T18:00:00Z) or of the last so long (90m, 24h)
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) limit: Option<u64>,
    /// Say what would be replayed and do nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DropArgs {
    /// These, as `dlq list` names them
    #[arg(value_name = "TOPIC-PARTITION-OFFSET", required_unless_present_any = ["topic", "reason", "all"])]
    pub(in crate::cli) keys: Vec<String>,
    /// All of this topic
    #[arg(long, conflicts_with_all = ["keys", "all"])]
    pub(in crate::cli) topic: Option<String>,
    /// All with this reason, such as malformed or bad_id
    #[arg(long, conflicts_with_all = ["keys", "all"])]
    pub(in crate::cli) reason: Option<String>,
    /// All
    #[arg(long, conflicts_with = "keys")]
    pub(in crate::cli) all: bool,
    /// Also from the dead-letter topic in Kafka, so that no replay brings them back
    #[arg(long)]
    pub(in crate::cli) kafka: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AcceptArgs {
    /// Which partition
    #[arg(value_name = "TOPIC-PARTITION")]
    pub(in crate::cli) partition: String,
    /// The last offset to accept
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    pub(in crate::cli) through: i64,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
