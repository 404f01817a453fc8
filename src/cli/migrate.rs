//! `edgefeed migrate`: makes the tables of ClickHouse and PostgreSQL, each statement once.

use edgefeed_sync::center::{self, Center, Class, State, Table};
use serde_json::json;

use super::args::{MigrateArgs, MigrateTarget, Output};
use super::{out, runtime};
use crate::config::Config;
use crate::failure::Failure;
use crate::migrate::postgres;
use crate::problem::Problem;

pub(super) fn run(args: MigrateArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let (clickhouse, postgres) = targets(args.target, &config)?;
    let cluster = cluster(args.cluster.as_deref(), &config, clickhouse)?;
    let done = runtime()?.block_on(async {
        // Both first: what one made is told even when the other fails.
        let clickhouse = match clickhouse {
            true => Some(center(&config, cluster, args.dry_run).await),
            false => None,
        };
        let postgres = match postgres {
            true => Some(postgres::run(&config.postgres, config.node.ids, args.dry_run).await),
            false => None,
        };
        (clickhouse, postgres)
    });
    let (clickhouse, postgres) = (done.0.transpose(), done.1.transpose());
    match args.common.output {
        Output::Json => {
            let (clickhouse, postgres) = (clickhouse.as_ref().ok(), postgres.as_ref().ok());
            out::json(&json!({ "dry_run": args.dry_run, "clickhouse": clickhouse, "postgres": postgres }))?;
        }
        Output::Text => {
            if let Ok(Some(done)) = &clickhouse {
                out::text(&clickhouse_text(done, &config, args.dry_run))?;
            }
            if let Ok(Some(done)) = &postgres {
                out::text(&postgres_text(done, args.dry_run))?;
            }
        }
    }
    clickhouse.map(drop).and(postgres.map(drop))
}

/// Which of the two to make: the one named, else all that are configured.
fn targets(named: Option<MigrateTarget>, config: &Config) -> Result<(bool, bool), Failure> {
    let missing = |key, mend: &str| Err(Failure::config(&[Problem::new(key, "is not set", mend)]));
    match named {
        Some(MigrateTarget::Clickhouse) if !config.clickhouse.is_set() => {
            missing("clickhouse.url", "say where ClickHouse answers HTTP")
        }
        Some(MigrateTarget::Postgres) if !config.postgres.is_set() => {
            missing("postgres.url", "give the address of the tables' owner in EDGEFEED__POSTGRES__URL")
        }
        None if !config.clickhouse.is_set() && !config.postgres.is_set() => {
            missing("clickhouse.url", "set it, or postgres.url: there is nothing to make tables in")
        }
        Some(MigrateTarget::Clickhouse) => Ok((true, false)),
        Some(MigrateTarget::Postgres) => Ok((false, true)),
        None => Ok((config.clickhouse.is_set(), config.postgres.is_set())),
    }
}

/// The cluster of the flag or of the configuration, which must not name two.
fn cluster<'a>(flag: Option<&'a str>, config: &'a Config, clickhouse: bool) -> Result<&'a str, Failure> {
    let configured = config.clickhouse.cluster.as_str();
    match flag {
        Some(_) if !clickhouse => Err(Failure::usage("--cluster is for ClickHouse; leave it out")),
        Some(flag) if !configured.is_empty() && flag != configured => Err(Failure::usage(format!(
            "--cluster {flag}: clickhouse.cluster is {configured}; inserts would ask that one for a quorum"
        ))),
        Some(flag) => Ok(flag),
        None => Ok(configured),
    }
}

/// Makes the tables, and looks whether the sink would take them: some may have been there, made otherwise.
async fn center(config: &Config, cluster: &str, dry_run: bool) -> Result<center::Migrated, Failure> {
    let failed = |error: center::Error| match (&error, error.class()) {
        (center::Error::Config(_), _) => Failure::usage(error.to_string()),
        (_, Class::Transient) => Failure::failed(format!("{error}; is ClickHouse well at {}?", config.clickhouse.url)),
        (_, Class::Systemic(center::AUTH)) => {
            Failure::failed(format!("{error}; see clickhouse.user and clickhouse.password, and what the user may do"))
        }
        _ => Failure::failed(error.to_string()),
    };
    let center = Center::new(&config.clickhouse).map_err(failed)?;
    let done = center.migrate(config.node.ids, cluster, dry_run).await.map_err(failed)?;
    if !dry_run {
        let window = config.sink.dedup_window_min;
        let complaints = center.preflight(&Table::ALL, config.node.ids, window).await.map_err(failed)?;
        if let Some(first) = complaints.first() {
            let more = complaints.len() - 1;
            let line = format!("clickhouse: the tables were made, and do not do: {first} (and {more} more)");
            return Err(Failure::failed(line));
        }
    }
    Ok(done)
}

fn clickhouse_text(done: &center::Migrated, config: &Config, dry_run: bool) -> String {
    let place = match done.cluster.as_str() {
        "" => "one server".to_owned(),
        name => format!("cluster {name}"),
    };
    let head =
        format!("clickhouse: database {}, ids {}, {place}, {}", done.database, done.ids.name(), config.clickhouse.url);
    let steps = done.steps.iter().map(|step| {
        let state = match step.state {
            State::Already => "already",
            State::Applied => "applied",
            State::Pending => "pending",
        };
        (step.name, state, step.statement.as_str())
    });
    let mut text = shown(&head, done.away.as_deref(), steps.collect(), dry_run);
    if config.clickhouse.cluster != done.cluster {
        text.push_str(&format!("set clickhouse.cluster = \"{}\", or inserts ask for no quorum\n", done.cluster));
    }
    text
}

fn postgres_text(done: &postgres::Migrated, dry_run: bool) -> String {
    let head = format!("postgres: ids {}", done.ids.name());
    let steps = done.steps.iter().map(|step| (step.name, step.state, step.statement));
    shown(&head, done.away.as_deref(), steps.collect(), dry_run)
}

/// What was done, a line a file; of a dry run the statements themselves, which may be given to a client of the database.
fn shown(head: &str, away: Option<&str>, steps: Vec<(&str, &str, &str)>, dry_run: bool) -> String {
    let count = |wanted: &str| steps.iter().filter(|(_, state, _)| *state == wanted).count();
    if !dry_run {
        let lines: String = steps
            .iter()
            .filter(|(_, state, _)| *state == "applied")
            .map(|(name, ..)| format!("  applied {name}\n"))
            .collect();
        return match (count("applied"), count("already")) {
            (0, all) => format!("{head}\n  nothing to do: {all} of {all} were applied before\n"),
            (new, old) => format!("{head}\n{lines}  {new} applied, {old} were applied before\n"),
        };
    }
    let mut text = format!("-- {head}\n");
    match (away, count("pending")) {
        (Some(why), _) => text.push_str(&format!("-- it could not be asked what was applied before ({why}): all\n")),
        (None, 0) => text.push_str("-- nothing to do\n"),
        (None, _) => {}
    }
    for (name, _, statement) in steps.iter().filter(|(_, state, _)| *state == "pending") {
        text.push_str(&format!("\n-- {name}\n{};\n", statement.trim_end().trim_end_matches(';')));
    }
    text
}
