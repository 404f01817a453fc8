//! `edgefeed demo`: everything in one process.

use super::args::DemoArgs;
use super::{log, runtime};
use crate::config::{LogConfig, LogFormat};
use crate::demo::Options;
use crate::failure::Failure;

pub(super) fn run(args: DemoArgs) -> Result<(), Failure> {
    // The demo talks to a person on standard output; its log tells of trouble only.
    log::start(&LogConfig { format: LogFormat::Text, level: "warn".to_owned() })?;
    let options = Options {
        users: args.users,
        posts: args.posts,
        rate: args.rate,
        port: args.port,
        admin_port: args.admin_port,
        seconds: args.seconds,
        data_dir: args.data_dir,
        seed: args.seed,
    };
    runtime()?.block_on(crate::demo::run(options))
}
