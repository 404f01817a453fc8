//! The numbers of this module, and what they mean.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_histogram, histogram};

/// Says what they mean; once, after the recorder is installed.
pub(crate) fn describe() {
    describe_histogram!(
        "edgefeed_affinity_fetch_duration_seconds",
        Unit::Seconds,
        "Time to find a reader's history, by result: store, or of the center fetched, empty, timeout, error, refused."
    );
}

/// One look at how old a reader's base is: `hit`, `stale` or `miss`.
pub(super) fn looked_up(result: &'static str) {
    counter!("edgefeed_cache_requests_total", "cache" => "affinity", "result" => result).increment(1);
}

/// One history found, or not.
pub(super) fn fetched(result: &'static str, took: Duration) {
    histogram!("edgefeed_affinity_fetch_duration_seconds", "result" => result).record(took.as_secs_f64());
}

/// One request went on without asking.
pub(super) fn refused() {
    fetched("refused", Duration::ZERO);
}
