//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use edgefeed_storage::model::IdKind;
use edgefeed_sync::sink::From;

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
    /// List, show, drop, replay and accept records that could not be used
    #[command(subcommand, long_about = DLQ)]
    Dlq(DlqVerb),
    /// How the way to the center stands, and the order to go on
    #[command(subcommand)]
    Sink(SinkVerb),
    /// Build this node anew from the center, or renew its histories from there
    #[command(subcommand, long_about = RESYNC)]
    Resync(ResyncVerb),
    /// Why a post ranks where it does for a reader, or which stage left it out
    Explain(ExplainArgs),
    /// Try other ranking numbers on the requests of late
    Replay(ReplayWeightsArgs),
    /// Make, list, verify and restore copies of the store
    #[command(subcommand, long_about = BACKUP)]
    Backup(BackupVerb),
    /// What the node holds of a user, a post, an author, and of itself
    #[command(subcommand)]
    Inspect(InspectVerb),
    /// Remove everything of a user, here and at the center, for good
    #[command(long_about = FORGET)]
    Forget(ForgetArgs),
    /// Check a configuration and name the source of each value
    Check(CheckArgs),
    /// Make the tables of ClickHouse and PostgreSQL, each statement once
    Migrate(MigrateArgs),
    /// Print the OpenAPI document of the public listener
    #[command(name = "openapi")]
    Openapi(OpenapiArgs),
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
    /// Also try every dependency there is, a line each
    #[arg(long)]
    pub(super) probe: bool,
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
pub(super) struct OpenapiArgs {
    /// What ids are in the deployment (node.ids)
    #[arg(long, value_enum, default_value_t = Ids::Uuid)]
    pub(super) ids: Ids,
}

/// A kind of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Ids {
    /// UUIDs, as strings
    Uuid,
    /// 64-bit numbers
    U64,
}

impl std::convert::From<Ids> for IdKind {
    fn from(ids: Ids) -> Self {
        match ids {
            Ids::Uuid => Self::Uuid,
            Ids::U64 => Self::U64,
        }
    }
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

/// What a dead letter is.
const DLQ: &str = "\
Records that could not be used.

Every node keeps the newest of them in its own store: list, show, drop and accept work on that one, at the running node \
or without one. The nodes of role \"sink\" also write them to Kafka, to the topic <sink.dead_letter_prefix><topic>, which \
all nodes share: replay works on that one, and drop with --kafka too.";

#[derive(Debug, Subcommand)]
pub(super) enum DlqVerb {
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
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Only of this topic
    #[arg(long)]
    pub(super) topic: Option<String>,
    /// Only with this reason, such as malformed or bad_id
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) limit: u16,
    /// Go on where a list ended
    #[arg(long)]
    pub(super) cursor: Option<String>,
    /// Only how many there are, by topic and reason
    #[arg(long, conflicts_with_all = ["topic", "reason", "cursor"])]
    pub(super) counts: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Which one, as `dlq list` names it
    #[arg(value_name = "TOPIC-PARTITION-OFFSET")]
    pub(super) key: String,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Write the record's value and nothing else
    #[arg(long, conflicts_with = "output")]
    pub(super) raw: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The topic the records stood in
    #[arg(long)]
    pub(super) topic: String,
    /// Only this dead letter
    #[arg(long, value_name = "TOPIC-PARTITION-OFFSET")]
    pub(super) key: Option<String>,
    /// Only with this reason, such as malformed or bad_id
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Only records of this time (2026-11-22T18:00:00Z) or of the last so long (90m, 24h)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// Say what would be replayed and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct DropArgs {
    /// These, as `dlq list` names them
    #[arg(value_name = "TOPIC-PARTITION-OFFSET", required_unless_present_any = ["topic", "reason", "all"])]
    pub(super) keys: Vec<String>,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// All of this topic
    #[arg(long, conflicts_with_all = ["keys", "all"])]
    pub(super) topic: Option<String>,
    /// All with this reason, such as malformed or bad_id
    #[arg(long, conflicts_with_all = ["keys", "all"])]
    pub(super) reason: Option<String>,
    /// All
    #[arg(long, conflicts_with = "keys")]
    pub(super) all: bool,
    /// Also from the dead-letter topic in Kafka, so that no replay brings them back
    #[arg(long)]
    pub(super) kafka: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    /// Which partition
    #[arg(value_name = "TOPIC-PARTITION")]
    pub(super) partition: String,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The last offset to accept
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) through: i64,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// On whose ranking
    #[arg(long, value_name = "ID")]
    pub(super) user: String,
    /// Which post
    #[arg(long, value_name = "ID")]
    pub(super) post: String,
    /// By which numbers: balanced, latest, friends, catch_up or quiet_voices
    #[arg(long, value_name = "NAME", default_value = "balanced")]
    pub(super) preset: String,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ReplayWeightsArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// TOML file whose [ranking] section is tried; what it leaves out has its default
    #[arg(long, value_name = "FILE")]
    pub(super) weights: PathBuf,
    /// How many of the newest recorded requests
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) requests: u16,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// What a backup is.
const BACKUP: &str = "\
Copies of the store.

Made while the node goes on, kept in the directory or bucket that backup.url names, each with a manifest of its files, \
their checksums and the offsets up to which everything is applied. A node may restore a peer's: what belongs to one node \
alone, events it had promised and not yet sent, is left out unless --keep-spool is given.";

#[derive(Debug, Subcommand)]
pub(super) enum BackupVerb {
    /// Make one, at the running node or of the store that nobody holds
    Create(CreateArgs),
    /// List those there are, newest first
    List(ListBackupsArgs),
    /// Read every byte of one again and compare
    Verify(VerifyArgs),
    /// Put one back, into an empty directory
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ListBackupsArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Of all nodes of the cluster, not only of this one
    #[arg(long)]
    pub(super) all: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Which one, by its name or the beginning of it; without it, the newest
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Of this node instead of the configured one
    #[arg(long)]
    pub(super) node: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Which one, by its name or the beginning of it; without it, the newest
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Of this node instead of the configured one
    #[arg(long)]
    pub(super) node: Option<String>,
    /// Into this empty directory instead of storage.dir
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
    /// Keep events that the backed-up node had accepted and not yet sent: only when that node is gone for good
    #[arg(long)]
    pub(super) keep_spool: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Subcommand)]
pub(super) enum InspectVerb {
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
pub(super) struct InspectArgs {
    /// Which one
    #[arg(value_name = "ID")]
    pub(super) id: String,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// How many of each list
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(super) limit: u16,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// What forgetting is.
const FORGET: &str = "\
Removes everything of a user for good.

Their posts, follows and blocks both ways, likes, comments, hides, views, history, and dead letters that name them leave \
the store; their rows, and those about their posts, leave the tables and views of the center. That they are forgotten is \
remembered for ever, here and at the center, so that no replay and no restored backup brings anything back; the other \
nodes of the cluster learn it from the center. It may be ordered again at any time.";

#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// Whom
    #[arg(value_name = "USER")]
    pub(super) user: String,
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Say what would be removed and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Subcommand)]
pub(super) enum SinkVerb {
    /// How every partition stands: what is committed, how far behind, and why one waits
    Status(StatusArgs),
    /// Order the sink to go on
    Resume(ResumeArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// From what the center holds (nothing is lost, nothing doubled), from the first record Kafka has, or from an offset
    #[arg(long, value_name = "center|earliest|OFFSET", value_parser = super::sink::from)]
    pub(super) from: From,
    /// Accept that the log is read anew under a new epoch; views then count again what they counted before
    #[arg(long)]
    pub(super) accept_reset: bool,
    /// One partition instead of all
    #[arg(long, value_name = "TOPIC-PARTITION")]
    pub(super) partition: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// What the jobs against the center are.
const RESYNC: &str = "\
Batch jobs against ClickHouse.

A running node does them itself and goes on answering meanwhile; where nobody has the store, they are done here. A job \
that was stopped or killed goes on where it stood when it is ordered again.";

#[derive(Debug, Subcommand)]
pub(super) enum ResyncVerb {
    /// Build a new or damaged node from the center: everything below the sink's offsets, and Kafka from there on
    Bootstrap(ResyncArgs),
    /// Replace histories of days that are over by the center's, base and own counts alike
    Refresh(RefreshArgs),
}

#[derive(Debug, Args)]
pub(super) struct ResyncArgs {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// Say what would be done and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct RefreshArgs {
    #[command(flatten)]
    pub(super) common: ResyncArgs,
    /// Of everybody the center knows, not only of readers this node has history of
    #[arg(long, conflicts_with = "users")]
    pub(super) all: bool,
    /// Of the users in this file, one id a line
    #[arg(long, value_name = "FILE")]
    pub(super) users: Option<PathBuf>,
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
