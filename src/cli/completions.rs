//! `edgefeed completions`: a script for a shell.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::out;
use crate::failure::Failure;

pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "edgefeed", &mut script);
    out::text(&String::from_utf8_lossy(&script))
}
