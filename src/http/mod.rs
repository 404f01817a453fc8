//! The HTTP edge: our own accept loop with limits (`server`), every route on one page (`router`), one file a resource,
//! and the one table of errors (`error`).

pub mod body;
mod config;
mod connection;
pub mod error;
mod events;
pub(crate) mod feed;
mod io;
pub mod limits;
mod openapi;
mod phase;
pub mod query;
mod raw;
mod request_id;
pub mod resource;
pub mod router;
pub mod server;
mod service;
mod suggested;
mod trending;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use error::Error;
pub use router::{Answering, EventsFn, PageFn, PageFuture, PositionFn, Services, SuggestedFn, TrendingFn, routes};
pub use server::{Drained, serve};

/// Says what the metrics of this module mean; call once after the recorder is installed.
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("edgefeed_http_requests_total", "Requests answered, by route, method and status.");
    describe_counter!("edgefeed_http_connections_refused_total", "Connections closed because the limit was reached.");
    describe_counter!("edgefeed_http_connections_timed_out_total", "Connections closed at a deadline, by phase.");
    describe_gauge!("edgefeed_http_connections", "Connections open.");
    describe_counter!("edgefeed_feed_requests_total", "Feed requests, by the source that answered and the status.");
    describe_histogram!(
        "edgefeed_feed_duration_seconds",
        Unit::Seconds,
        "Time in the node of a feed request, by the source that answered."
    );
    describe_histogram!(
        "edgefeed_discover_duration_seconds",
        Unit::Seconds,
        "Time in the node of an answer about trending posts or suggested users."
    );
    describe_counter!("edgefeed_auth_failures_total", "Requests whose credentials were not accepted, by reason.");
}
