//! What a node remembers of its readers between requests: rankings they page through ([`Pins`]), posts they were served
//! lately ([`Lately`]), and pages that are being made right now ([`Flights`]). All of it is bounded, none of it outlives
//! the process, and nothing of it is needed for a right answer.

mod config;
mod flights;
mod lately;
mod pin;
mod pins;

pub use config::Config;
pub use flights::Flights;
pub use lately::Lately;
pub use pin::{Making, Pin, Pinned};
pub use pins::Pins;

/// Says what the metrics of this module mean; call once after the recorder is installed.
pub fn describe_metrics() {
    use metrics::{counter, describe_counter};
    describe_counter!("edgefeed_cache_requests_total", "Looks into a cache, by cache and by what came of it.");
    describe_counter!(
        "edgefeed_cache_invalidations_total",
        "Pinned rankings dropped because their reader asked for it."
    );
    for (cache, result) in [("pins", "hit"), ("pins", "miss"), ("first_page", "joined"), ("first_page", "made")] {
        counter!("edgefeed_cache_requests_total", "cache" => cache, "result" => result).increment(0);
    }
    counter!("edgefeed_cache_invalidations_total").increment(0);
}

fn asked(cache: &'static str, result: &'static str) {
    metrics::counter!("edgefeed_cache_requests_total", "cache" => cache, "result" => result).increment(1);
}
