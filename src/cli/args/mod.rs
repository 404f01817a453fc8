//! What can be typed, a file a family of verbs.

mod backup;
mod common;
mod dlq;
mod forget;
mod reading;
mod resync;
mod setup;
mod sink;

use clap::{Parser, Subcommand};

pub(super) use backup::{BackupVerb, ListBackupsArgs, RestoreArgs, VerifyArgs};
pub(super) use common::{Common, Output, Sources, StatusArgs, VersionArgs};
pub(super) use dlq::{AcceptArgs, DlqVerb, DropArgs, ListArgs, ReplayArgs, ShowArgs};
pub(super) use forget::ForgetArgs;
pub(super) use reading::{ExplainArgs, InspectArgs, InspectVerb, ReplayWeightsArgs};
pub(super) use resync::{ResyncArgs, ResyncVerb};
pub(super) use setup::{CheckArgs, CompletionsArgs, DemoArgs, MigrateArgs, MigrateTarget, OpenapiArgs};
pub(super) use sink::{ResumeArgs, SinkVerb};

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
    #[command(subcommand, long_about = dlq::DLQ)]
    Dlq(DlqVerb),
    /// How the way to the center stands, and the order to go on
    #[command(subcommand)]
    Sink(SinkVerb),
    /// Build this node anew from the center, renew its histories, compare the two, put right what differs
    #[command(subcommand, long_about = resync::RESYNC)]
    Resync(ResyncVerb),
    /// Why a post ranks where it does for a reader, or which stage left it out
    Explain(ExplainArgs),
    /// Try other ranking numbers on the requests of late
    Replay(ReplayWeightsArgs),
    /// Make, list, verify and restore copies of the store
    #[command(subcommand, long_about = backup::BACKUP)]
    Backup(BackupVerb),
    /// What the node holds of a user, a post, an author, and of itself
    #[command(subcommand)]
    Inspect(InspectVerb),
    /// Remove everything of a user, here and at the center, for good
    #[command(long_about = forget::FORGET)]
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
