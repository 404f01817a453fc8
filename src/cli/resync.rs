//! `edgefeed resync`: a node built anew or renewed from the center, by the running node or at its store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_sync::breaker::Breaker;
use edgefeed_sync::center::Center;
use edgefeed_sync::resync::{Outcome, Report};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::args::{Common, Output, ResyncArgs, ResyncVerb};
use super::live::{self, Live};
use super::{log, out, runtime};
use crate::config::Config;
use crate::failure::Failure;
use crate::node::stop_signal;
use crate::problem::Problem;
use crate::resync::screen::Screen;
use crate::resync::{self, AuditTold, Job, JobOrder, Seen, Shown};

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(verb: ResyncVerb) -> Result<(), Failure> {
    let (job, args, all, users) = match verb {
        ResyncVerb::Bootstrap(args) => (Job::Bootstrap, args, false, None),
        ResyncVerb::Refresh(args) => {
            let users = args.users.as_deref().map(read_users).transpose()?;
            (Job::Refresh, args.resync, args.all, users)
        }
        ResyncVerb::Verify(args) => (Job::Verify, ResyncArgs { dry_run: false, common: args.common }, false, None),
        ResyncVerb::Repair(args) => (Job::Repair, args, false, None),
    };
    let ResyncArgs { dry_run, common: Common { sources, output } } = args;
    let config = sources.load()?;
    if !config.clickhouse.is_set() {
        let problem = Problem::new("clickhouse.url", "is not set", "say where ClickHouse answers HTTP");
        return Err(Failure::config(&[problem]));
    }
    log::start(&config.log)?;
    let order = JobOrder { job, dry_run, all, users };
    order.check(config.node.ids).map_err(Failure::usage)?;
    let outcome = runtime()?.block_on(obey(&config, &order))?;
    match output {
        Output::Json => out::json(&json!({ "job": job.name(), "dry_run": dry_run, "outcome": outcome }))?,
        Output::Text => out::text(&text(job, dry_run, &outcome))?,
    }
    match job {
        Job::Verify | Job::Repair if outcome["clean"] != json!(true) => {
            Err(Failure::failed("node, center and log are not the same; `edgefeed resync repair` puts them right"))
        }
        _ => Ok(()),
    }
}

/// One id a line; empty lines and what follows a `#` are left out.
fn read_users(file: &std::path::Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("--users {}: {error}", file.display())))?;
    let ids = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(ids.filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

async fn obey(config: &Config, order: &JobOrder) -> Result<Value, Failure> {
    match order.job {
        // A store that cannot be opened is what a rebuild is for.
        Job::Bootstrap => match live::running(config).await? {
            Some(node) => at_node(&node, order).await,
            None => here(config, order).await,
        },
        Job::Refresh => match live::reach(config).await? {
            Live::Node(node) => at_node(&node, order).await,
            Live::Store(store) => refresh(config, order, &store).await,
        },
        Job::Verify | Job::Repair => match live::reach(config).await? {
            Live::Node(node) => at_node(&node, order).await,
            Live::Store(store) => audit(config, order, &store).await,
        },
        Job::Restore => Err(Failure::usage(JobOrder::NO_RESTORE)),
    }
}

/// Orders it at the running node and looks on. Interrupted, the node goes on.
async fn at_node(node: &live::Node, order: &JobOrder) -> Result<Value, Failure> {
    let begun: Seen = node.post("/admin/resync", order).await?;
    let mut screen = Screen::new();
    loop {
        let seen: Seen = node.get("/admin/resync").await?;
        screen.show(&seen.progress);
        if seen.number != begun.number || !seen.running {
            screen.end();
            let gone = || Failure::failed("the node has begun another job meanwhile; ask GET /admin/resync");
            return match (seen.number == begun.number, seen.outcome, seen.error) {
                (true, Some(outcome), _) => Ok(outcome),
                (true, None, Some(error)) => Err(Failure::failed(error)),
                _ => Err(gone()),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Does it here: nobody has the store.
async fn here(config: &Config, order: &JobOrder) -> Result<Value, Failure> {
    let (center, breaker) = center(config)?;
    let (report, stop) = (Report::default(), Arc::new(AtomicBool::new(false)));
    let boot = resync::bootstrap(config, &center, &breaker, &report, &stop);
    let place = resync::place(config, None);
    let failed = |error: edgefeed_sync::resync::Error| Failure::failed(error.to_string());
    if order.dry_run {
        return told(&boot.dry_run(&place).await.map_err(failed)?);
    }
    let (build, outcome) = watched(&report, &stop, boot.run(&place)).await?.map_err(failed)?;
    let flipped = tokio::task::spawn_blocking(move || build.make_current()).await;
    match flipped {
        Ok(Ok(_)) => told(&outcome),
        Ok(Err(error)) => Err(Failure::failed(format!("storage.dir: {error}"))),
        Err(_) => Err(Failure::failed("making the rebuilt store the current one panicked; this is a bug")),
    }
}

async fn refresh(config: &Config, order: &JobOrder, store: &Arc<Store>) -> Result<Value, Failure> {
    let (center, breaker) = center(config)?;
    let (report, stop) = (Report::default(), Arc::new(AtomicBool::new(false)));
    let refresher = resync::refresher(config, &center, &breaker, store, &report);
    let done = watched(&report, &stop, resync::refresh(&refresher, config, order)).await?;
    serde_json::to_value(done.map_err(Failure::failed)?).map_err(|error| Failure::failed(error.to_string()))
}

async fn audit(config: &Config, order: &JobOrder, store: &Arc<Store>) -> Result<Value, Failure> {
    let (center, _) = center(config)?;
    let told = resync::audit(config, &center, store, order).await.map_err(Failure::failed)?;
    serde_json::to_value(told).map_err(|error| Failure::failed(error.to_string()))
}

fn center(config: &Config) -> Result<(Arc<Center>, Arc<Breaker>), Failure> {
    let center = Center::new(&config.clickhouse).map_err(|error| Failure::failed(error.to_string()))?;
    Ok((center, Breaker::new("clickhouse", &config.breaker)))
}

fn told(outcome: &Outcome) -> Result<Value, Failure> {
    serde_json::to_value(outcome).map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))
}

/// Shows how far work is, and has it end soon when somebody interrupts it: what is done is kept.
async fn watched<T>(report: &Report, stop: &Arc<AtomicBool>, work: impl Future<Output = T>) -> Result<T, Failure> {
    let interrupted = stop_signal()?;
    let mut screen = Screen::new();
    tokio::pin!(work, interrupted);
    loop {
        tokio::select! {
            done = &mut work => {
                screen.end();
                return Ok(done);
            }
            () = &mut interrupted, if !stop.load(Ordering::Acquire) => stop.store(true, Ordering::Release),
            () = tokio::time::sleep(LOOK) => screen.show(&Shown::of(report)),
        }
    }
}

fn text(job: Job, dry_run: bool, outcome: &Value) -> String {
    if matches!(job, Job::Verify | Job::Repair) {
        return AuditTold::deserialize(outcome).map(|told| told.text()).unwrap_or_default();
    }
    let number = |key: &str| outcome[key].as_u64().unwrap_or_default();
    let seconds = number("took_ms") as f64 / 1e3;
    match (job, dry_run) {
        (Job::Bootstrap, false) => {
            let (rows, resumed) = (number("rows"), outcome["resumed"].as_bool().unwrap_or_default());
            let how = if resumed { "went on with a rebuild begun before" } else { "rebuilt" };
            format!("{how}: epoch {}, {rows} rows in {seconds:.1} s\n", number("epoch"))
        }
        (Job::Bootstrap, true) => {
            let mut text = "would rebuild this node from the center; rows there are, about:\n".to_owned();
            for (table, rows) in outcome["expected"].as_object().into_iter().flatten() {
                text.push_str(&format!("  {table:<11} {rows}\n"));
            }
            text
        }
        (_, dry_run) => {
            let day = i64::try_from(number("own_from")).unwrap_or_default();
            let date = crate::feed::rfc3339(day * 86_400_000);
            let date = date.split('T').next().unwrap_or_default().to_owned();
            match dry_run {
                true => format!("would renew histories with the center's of all days before {date}\n"),
                false => format!("{} readers, {} rows, all days before {date}\n", number("readers"), number("rows")),
            }
        }
    }
}
