//! What can be typed, and how failing looks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use clap::{CommandFactory, Parser};

use super::args::{Cli, Verb};
use crate::failure::Failure;
use crate::problem::Problem;

fn parse(line: &str) -> Result<Verb, i32> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.verb).map_err(|error| error.exit_code())
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_is_read() {
    for line in [
        "edgefeed serve",
        "edgefeed serve --config edgefeed.toml --set http.listen=127.0.0.1:0 --set log.level=a=b",
        "edgefeed demo",
        "edgefeed demo --users 50 --posts 100 --rate 10 --port 0 --admin-port 0 --seconds 5 --data-dir d --seed 9",
        "edgefeed check --config x --output json",
        "edgefeed check --probe",
        "edgefeed backup create --output json",
        "edgefeed backup list --all",
        "edgefeed backup verify",
        "edgefeed backup verify 20261125T181500Z-3f9a --node n1",
        "edgefeed backup restore --into d --node n1 --keep-spool",
        "edgefeed inspect user 17 --limit 5 --output json",
        "edgefeed inspect post 17",
        "edgefeed inspect author 17",
        "edgefeed inspect offsets --output json",
        "edgefeed inspect store --config x",
        "edgefeed forget 17 --dry-run --output json",
        "edgefeed migrate --config x",
        "edgefeed migrate clickhouse --cluster main --dry-run --output json",
        "edgefeed migrate postgres",
        "edgefeed dlq list --config x --topic events --reason bad_id --limit 5 --cursor c --output json",
        "edgefeed dlq list --counts",
        "edgefeed dlq show events-0-17 --raw",
        "edgefeed dlq show --config x events-0-17 --output json",
        "edgefeed dlq replay --topic events --key events-0-17 --reason bad_id --since 24h --limit 5 --dry-run",
        "edgefeed dlq drop events-0-17 events-0-18 --kafka",
        "edgefeed dlq drop --topic events --reason bad_id",
        "edgefeed dlq drop --all",
        "edgefeed dlq accept events-0 --through 99",
        "edgefeed sink status --output json",
        "edgefeed sink resume --from center",
        "edgefeed sink resume --from earliest --accept-reset --partition events-0",
        "edgefeed sink resume --from 17 --accept-reset --partition events-0",
        "edgefeed openapi",
        "edgefeed openapi --ids u64",
        "edgefeed completions bash",
        "edgefeed version --output json",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn a_usage_error_is_2_and_help_is_0() {
    for line in [
        "edgefeed dance",
        "edgefeed serve --port 1",
        "edgefeed demo --users 0",
        "edgefeed check --set x=1",
        "edgefeed check --set http.listen",
        "edgefeed migrate mysql",
        "edgefeed completions tcl",
        "edgefeed dlq",
        "edgefeed dlq show",
        "edgefeed dlq replay",
        "edgefeed dlq drop",
        "edgefeed dlq drop events-0-17 --all",
        "edgefeed dlq drop --topic events --all",
        "edgefeed dlq accept events-0",
        "edgefeed dlq accept events-0 --through -1",
        "edgefeed dlq list --counts --topic events",
        "edgefeed backup",
        "edgefeed inspect user",
        "edgefeed inspect user 17 --limit 10001",
        "edgefeed forget",
        "edgefeed sink resume",
        "edgefeed sink resume --from -5",
        "edgefeed sink resume --from moon",
        "edgefeed",
    ] {
        assert_eq!(parse(line).err(), Some(2), "{line}");
    }
    assert_eq!(parse("edgefeed --help").err(), Some(0));
}

#[test]
fn a_bad_configuration_is_78_and_a_line_a_problem() {
    let problems = [Problem::new("http.listen", "is odd", "set it"), Problem::new("log.level", "is odder", "set that")];
    let failure = Failure::config(&problems);
    assert_eq!(failure.code(), 78);
    assert_eq!(failure.to_string(), "http.listen: is odd (default); set it\nlog.level: is odder (default); set that");
    assert_eq!((Failure::failed("no").code(), Failure::usage("no").code()), (1, 2));
}
