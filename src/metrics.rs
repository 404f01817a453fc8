//! Metrics of the read path and of the node itself; each other part describes and counts its own.

use std::collections::BTreeMap;
use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use edgefeed_storage::{Stats, Store};
use parking_lot::Mutex;

use crate::feed::Stage;
use crate::feed::ladder::Reason;
use crate::ranking::filter::Removed;

/// When each background job of this process last succeeded: what the gauge tells, for `/status`.
static JOBS: Mutex<BTreeMap<&'static str, i64>> = Mutex::new(BTreeMap::new());

/// The same as JSON, in UTC milliseconds.
pub(crate) fn jobs() -> serde_json::Value {
    serde_json::json!(*JOBS.lock())
}

/// Says what every metric of this process means; once, after the recorder is installed.
pub fn describe() {
    edgefeed_sync::describe_metrics();
    crate::http::describe_metrics();
    crate::auth::describe_metrics();
    crate::rate_limit::describe_metrics();
    crate::affinity::describe_metrics();
    crate::events::describe_metrics();
    crate::resync::describe_metrics();
    crate::cache::describe_metrics();
    crate::tuning::describe_metrics();
    describe_histogram!("edgefeed_feed_candidates", "Candidates a ranking chose from.");
    describe_counter!("edgefeed_feed_removed_total", "Posts left out of a ranking, by reason.");
    describe_histogram!(
        "edgefeed_rank_duration_seconds",
        Unit::Seconds,
        "Time to gather, filter, score and place the candidates of one feed."
    );
    describe_counter!("edgefeed_explains_total", "Posts explained, by how far they came.");
    describe_counter!("edgefeed_feed_ranked_total", "Pages ranked anew, by the set of numbers that ranked them.");
    describe_counter!("edgefeed_fallback_total", "Pages that PostgreSQL listed, by why it was asked.");
    for reason in Reason::ALL {
        // There from the start, so that an alert on its rise has something to rise from.
        counter!("edgefeed_fallback_total", "reason" => reason.name()).increment(0);
    }
    describe_gauge!("edgefeed_store_size_bytes", Unit::Bytes, "Size of the store on disk, by column family.");
    describe_gauge!("edgefeed_store_memory_bytes", Unit::Bytes, "Memory the store holds, by purpose.");
    describe_histogram!(
        "edgefeed_store_sync_duration_seconds",
        Unit::Seconds,
        "Time of one sync of the write-ahead log."
    );
    describe_gauge!(
        "edgefeed_job_last_success_timestamp_seconds",
        Unit::Seconds,
        "When a background job last succeeded, in seconds since 1970."
    );
    describe_gauge!("edgefeed_build_info", "Always 1; the version is a label.");
    gauge!("edgefeed_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// A page came from PostgreSQL.
pub(crate) fn fallback(reason: Reason) {
    counter!("edgefeed_fallback_total", "reason" => reason.name()).increment(1);
}

/// One ranking's candidates.
pub(crate) fn candidates(count: usize, removed: impl Iterator<Item = (Removed, u64)>) {
    histogram!("edgefeed_feed_candidates").record(count as f64);
    for (reason, count) in removed.filter(|(_, count)| *count > 0) {
        counter!("edgefeed_feed_removed_total", "reason" => reason.name()).increment(count);
    }
}

/// A post was explained.
pub(crate) fn explained(stage: Stage) {
    counter!("edgefeed_explains_total", "stage" => stage.name()).increment(1);
}

/// A page was ranked by this set of numbers.
pub(crate) fn ranked_by(set: &'static str) {
    counter!("edgefeed_feed_ranked_total", "set" => set).increment(1);
}

/// One ranking's time.
pub(crate) fn ranked(time: Duration) {
    histogram!("edgefeed_rank_duration_seconds").record(time.as_secs_f64());
}

/// A look at what is kept in memory. (Described where the first of them is counted, in `affinity`.)
pub(crate) fn cache(cache: &'static str, hit: bool) {
    let result = if hit { "hit" } else { "miss" };
    counter!("edgefeed_cache_requests_total", "cache" => cache, "result" => result).increment(1);
}

/// A background job did its work.
pub(crate) fn job_done(job: &'static str, now_ms: i64) {
    JOBS.lock().insert(job, now_ms);
    gauge!("edgefeed_job_last_success_timestamp_seconds", "job" => job).set(now_ms as f64 / 1e3);
}

/// The store's sizes.
pub(crate) fn store(store: &Store) {
    let Ok(Stats { disk_bytes, cache_bytes, hot_bytes, viewer_bytes, .. }) = store.stats() else { return };
    for (family, bytes) in disk_bytes {
        gauge!("edgefeed_store_size_bytes", "family" => family).set(bytes as f64);
    }
    for (purpose, bytes) in [("cache", cache_bytes), ("hot", hot_bytes), ("viewers", viewer_bytes)] {
        gauge!("edgefeed_store_memory_bytes", "purpose" => purpose).set(bytes as f64);
    }
}
