//! `edgefeed forget`

use clap::Args;

use super::Common;

/// What forgetting is.
pub(super) const FORGET: &str = "\
Removes everything of a user for good.

Their posts, follows and blocks both ways, likes, comments, hides, views, history, and dead letters that name them leave \
the store; their rows, and those about their posts, leave the tables and views of the center. That they are forgotten is \
remembered for ever, here and at the center, so that no replay and no restored backup brings anything back; the other \
nodes of the cluster learn it from the center. It may be ordered again at any time.";

#[derive(Debug, Args)]
pub(in crate::cli) struct ForgetArgs {
    /// Whom
    #[arg(value_name = "USER")]
    pub(in crate::cli) user: String,
    /// Say what would be removed and do nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}
