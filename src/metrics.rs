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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, with_local_recorder};

    use super::*;

    /// Notes what is described, and counts nothing.
    #[derive(Default)]
    struct Described(Mutex<Vec<(String, &'static str)>>);

    impl Recorder for Described {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.0.lock().push((name.as_str().to_owned(), "counter"));
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.0.lock().push((name.as_str().to_owned(), "gauge"));
        }

        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.0.lock().push((name.as_str().to_owned(), "histogram"));
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_metric_is_described_once_and_documented_as_what_it_is() {
        let recorder = Described::default();
        with_local_recorder(&recorder, describe);
        let described = recorder.0.into_inner();
        let once: BTreeSet<(String, &str)> = described.iter().cloned().collect();
        assert_eq!(once.len(), described.len(), "each once: {described:?}");
        let rows = include_str!("../docs/metrics.md").lines().filter_map(|row| row.strip_prefix("| `"));
        let documented = rows.filter_map(|row| {
            let (name, rest) = row.split_once("` | ")?;
            let (kind, _) = rest.split_once(" | ")?;
            let name = name.split('{').next()?;
            (!kind.is_empty() && !name.contains('…')).then(|| (format!("edgefeed_{name}"), kind))
        });
        assert_eq!(documented.collect::<BTreeSet<_>>(), once, "left: docs/metrics.md, right: what is described");
    }
}
