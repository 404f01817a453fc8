//! Rebuilding and renewing a node from the center, as operators order and see it: the same at a running node and at a
//! store that nobody has.

mod job;
pub mod screen;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use edgefeed_storage::Store;
use edgefeed_sync::breaker::Breaker;
use edgefeed_sync::center::Center;
use edgefeed_sync::resync::{self, Bootstrap, Refresher, Report};

use crate::clock::now_ms;
use crate::config::Config;

pub use job::{Board, Job, JobOrder, Seen, Shown, Trouble};

/// Says what the metrics of these jobs mean.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        "edgefeed_resync_rows_total",
        "Rows read from the center to rebuild or renew, by table."
    );
}

/// What builds this node's store from the center.
pub fn bootstrap(
    config: &Config,
    center: &Arc<Center>,
    breaker: &Arc<Breaker>,
    report: &Report,
    stop: &Arc<AtomicBool>,
) -> Bootstrap {
    Bootstrap {
        kafka: config.kafka.clone(),
        sink: config.sink.clone(),
        center: Arc::clone(center),
        breaker: Arc::clone(breaker),
        cluster: config.node.cluster.clone(),
        settings: config.resync.clone(),
        clock: Arc::new(now_ms),
        report: report.clone(),
        stop: Arc::clone(stop),
    }
}

/// Where it builds it.
pub fn place(config: &Config, serving: Option<Arc<Store>>) -> resync::Order {
    resync::Order { storage: config.storage.clone(), options: config.store_options(), serving }
}

/// What renews the histories of a store.
pub fn refresher(
    config: &Config,
    center: &Arc<Center>,
    breaker: &Arc<Breaker>,
    store: &Arc<Store>,
    report: &Report,
) -> Refresher {
    Refresher {
        center: Arc::clone(center),
        breaker: Arc::clone(breaker),
        store: Arc::clone(store),
        cluster: config.node.cluster.clone(),
        topic: config.kafka.topics.events.clone(),
        settings: config.resync.clone(),
        report: report.clone(),
    }
}

/// Renews histories up to the last closed day; of a dry run, says only up to which.
///
/// # Errors
/// In words, with the mend.
pub async fn refresh(refresher: &Refresher, config: &Config, order: &JobOrder) -> Result<resync::Refreshed, String> {
    let whose = order.whose(config.node.ids)?;
    let (kafka, sink, store) = (config.kafka.clone(), config.sink.clone(), Arc::clone(&refresher.store));
    let grace_ms = i64::try_from(config.resync.refresh_grace_s).unwrap_or(0).saturating_mul(1_000);
    let found = tokio::task::spawn_blocking(move || {
        let positions = store.positions().map_err(|error| error.to_string())?;
        let own = resync::Own { begins: store.begins(), positions };
        resync::closed_day(&kafka, &sink, &own, now_ms(), grace_ms).map_err(|error| error.to_string())
    });
    let found = found.await.unwrap_or_else(|_| Err("asking which days are over panicked; this is a bug".to_owned()))?;
    let own_from = found.ok_or_else(|| {
        "the last day is not over yet: this node or the sink has not come to its end, or this node's own log begins \
         after it; try again later"
            .to_owned()
    })?;
    if order.dry_run {
        return Ok(resync::Refreshed { own_from, ..Default::default() });
    }
    refresher.run(&whose, own_from, now_ms()).await.map_err(|error| error.to_string())
}
