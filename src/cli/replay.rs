//! `edgefeed replay`: what other numbers would make of the requests of late, before anybody is exposed to them.

use std::path::Path;

use super::args::ReplayWeightsArgs;
use super::explain::feed_of;
use super::live::{self, Live};
use super::table::table;
use super::{out, runtime};
use crate::admin::ReplayOrder;
use crate::clock::now_ms;
use crate::config::Config;
use crate::failure::Failure;
use crate::problem::Problem;
use crate::ranking;
use crate::tuning::{Report, Sets, Side};

/// The largest file read, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

pub(super) fn run(args: ReplayWeightsArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let ranking = read(&args.weights)?;
    let order = ReplayOrder { ranking, requests: args.requests.into() };
    let report = runtime()?.block_on(replay(&config, order))?;
    out::shown(args.common.output, &report, text)
}

async fn replay(config: &Config, order: ReplayOrder) -> Result<Report, Failure> {
    match live::reach(config).await? {
        Live::Node(node) => node.post("/admin/replay", &order).await,
        Live::Store(store) => {
            let feed = feed_of(config, store).await?;
            let report = tokio::task::spawn_blocking(move || {
                let requests = feed.recent(order.requests);
                feed.replay(&requests, &Sets::of(&order.ranking), now_ms())
            });
            let report = report.await.map_err(|_| Failure::failed("replaying panicked; this is a bug"))?;
            report.map_err(|error| Failure::failed(format!("storage.dir: {error}")))
        }
    }
}

/// The `[ranking]` section of a file: what a node would have after a reload of a configuration with it.
fn read(path: &Path) -> Result<ranking::Config, Failure> {
    let source = format!("file {}", path.display());
    let bad = |message: String, mend: &str| Failure::config(&[Problem::new("", message, mend).from(&source)]);
    let readable = |error: std::io::Error| bad(format!("cannot read the file: {error}"), "name a readable TOML file");
    let size = std::fs::metadata(path).map_err(readable)?.len();
    if size > FILE_MAX_BYTES {
        return Err(bad(format!("{size} bytes are more than {FILE_MAX_BYTES}"), "name a file with weights"));
    }
    let text = std::fs::read_to_string(path).map_err(readable)?;
    let mut table: toml::Table =
        toml::from_str(&text).map_err(|error| bad(error.message().to_owned(), "correct the TOML"))?;
    let section = table.remove("ranking").ok_or_else(|| bad("has no [ranking]".to_owned(), "write the section"))?;
    let ranking: ranking::Config = section
        .try_into()
        .map_err(|error: toml::de::Error| bad(error.message().to_owned(), "see edgefeed.example.toml"))?;
    let problems = ranking.problems();
    if problems.is_empty() { Ok(ranking) } else { Err(bad(problems.join("; "), "set values within the bounds")) }
}

fn text(report: &Report) -> String {
    if report.requests == 0 {
        return format!("no requests to replay ({} with nothing to rank)\n", report.empty);
    }
    let rows = report.sets.iter().flat_map(|(set, of)| {
        let overlap = [of.overlap.mean, of.overlap.p10, of.overlap.min].map(|share| format!("{:.1} %", 100.0 * share));
        let [mean, p10, min] = overlap;
        let first = [set.clone(), of.requests.to_string(), mean, p10, min];
        let none = [String::new(), String::new(), String::new(), String::new(), String::new()];
        [row(first, "current", &of.current), row(none, "new", &of.new)]
    });
    let places = report.places;
    let head = ["SET", "REQUESTS", "OVERLAP", "P10", "LEAST", "", "ENTROPY", "MEDIAN AGE", "POSTS", "WEIGHTS"];
    let note =
        format!("the first {places} places of {} requests; {} had nothing to rank\n", report.requests, report.empty);
    format!("{}{note}", table(head, rows))
}

fn row([set, requests, mean, p10, min]: [String; 5], side: &str, of: &Side) -> [String; 10] {
    let (entropy, age) = (format!("{:.3} bit", of.author_entropy_bits), format!("{:.1} h", of.median_age_hours));
    let (posts, versions) = (format!("{:.1}", of.posts), of.weights_versions.join(", "));
    [set, requests, mean, p10, min, side.to_owned(), entropy, age, posts, versions]
}
