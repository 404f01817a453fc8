//! The HTTP edge: our own accept loop with limits (`server`), every route on one page (`router`), one file a resource,
//! and the one table of errors (`error`).

pub mod body;
mod config;
mod connection;
mod cors;
pub mod door;
pub mod edge;
pub mod error;
mod events;
pub(crate) mod explain;
pub(crate) mod feed;
mod headers;
mod io;
pub mod limits;
mod openapi;
mod phase;
pub(crate) mod pin;
mod places;
pub mod query;
mod raw;
mod renew;
mod request_id;
pub mod resource;
pub mod router;
pub mod server;
mod service;
mod shed;
mod suggested;
pub mod tls;
mod trending;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use door::Door;
pub use edge::Edge;
pub use error::Error;
pub use renew::Renewable;
pub use router::{
    Answering, EventsFn, ExplainFn, ForgetFn, PageFn, PageFuture, PositionFn, Services, SuggestedFn, TrendingFn, routes,
};
pub use server::{Drained, serve};

/// Says what the metrics of this module mean; call once after the recorder is installed.
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("edgefeed_http_requests_total", "Requests answered, by route, method and status.");
    describe_counter!("edgefeed_http_connections_refused_total", "Connections closed because the limit was reached.");
    describe_counter!("edgefeed_http_connections_timed_out_total", "Connections closed at a deadline, by phase.");
    describe_counter!(
        "edgefeed_http_tls_handshakes_failed_total",
        "Connections closed because their TLS handshake failed or took too long."
    );
    describe_counter!("edgefeed_http_shed_total", "Requests turned away because the node was too busy, by why.");
    describe_gauge!("edgefeed_http_shed_ratio", "Share of requests that is turned away because work waits too long.");
    describe_gauge!("edgefeed_runtime_wait_seconds", Unit::Seconds, "How long work waits for a processor.");
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
}
