//! The command line, one file a verb. Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration.

mod args;
mod backup;
mod check;
mod completions;
mod demo;
mod dlq;
mod explain;
mod forget;
mod inspect;
mod live;
mod log;
mod migrate;
mod openapi;
mod out;
mod replay;
mod resync;
mod serve;
mod sink;
mod table;
mod version;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Verb};

use crate::failure::{self, Failure};

/// Runs the verb the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with exit code 0 and on standard output.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    match verb(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn verb(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Serve(sources) => serve::run(sources),
        Verb::Demo(args) => demo::run(args),
        Verb::Dlq(verb) => dlq::run(verb),
        Verb::Sink(verb) => sink::run(verb),
        Verb::Resync(verb) => resync::run(verb),
        Verb::Explain(args) => explain::run(args),
        Verb::Replay(args) => replay::run(args),
        Verb::Backup(verb) => backup::run(verb),
        Verb::Inspect(verb) => inspect::run(verb),
        Verb::Forget(args) => forget::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Migrate(args) => migrate::run(args),
        Verb::Openapi(args) => openapi::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Version(args) => version::run(&args),
    }
}

/// The runtime of the verbs that wait on others.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Pages are made on these; more of them than this would only compete for the processors.
        .max_blocking_threads(64)
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}; check the limits on threads")))
}
