//! The recorder behind `/metrics`.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinHandle;

/// Bounds of histograms in seconds: from a tenth of a feed answer to a minute.
const BUCKETS_S: [f64; 18] = [
    0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
    60.0,
];
/// Bounds of the number of candidates of a feed.
const BUCKETS_CANDIDATES: [f64; 9] = [0.0, 10.0, 20.0, 50.0, 100.0, 200.0, 400.0, 700.0, 900.0];
/// How often samples of histograms that nobody scrapes are folded; without it they would pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("the metrics recorder cannot be installed: {0}")]
pub struct InstallError(#[from] BuildError);

/// Installs the process's recorder and keeps it tidy until the task is aborted. Describe metrics after this.
///
/// # Errors
/// When a recorder is installed already.
pub fn install_metrics() -> Result<(PrometheusHandle, JoinHandle<()>), InstallError> {
    let candidates = Matcher::Full("edgefeed_feed_candidates".to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS_S)?;
    let handle = builder.set_buckets_for_metric(candidates, &BUCKETS_CANDIDATES)?.install_recorder()?;
    let kept = handle.clone();
    let upkeep = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            kept.run_upkeep();
        }
    });
    Ok((handle, upkeep))
}
