//! Every route of the admin listener. `/healthz` and `/readyz` are open, as probes carry no tokens; the page holds no
//! data of its own; everything else asks the guard.

use std::future::ready;
use std::sync::Arc;

use ::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use ::http::{HeaderValue, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use warp::path;
use warp::reply::Response;

use super::breaker::{self, Breakers};
use super::explain::FeedDoor;
use super::guard::Guard;
use super::resync::ResyncDoor;
use super::sink::SinkDoor;
use super::{checkpoint, dlq, explain, forget, inspect, reload, replay, resync, sink};
use crate::backup::Keeper;
use crate::dead_letters::DeadLetters;
use crate::forget::Forgetter;
use crate::http::Error;
use crate::http::resource::{self, Call, Routes, Takes, listener, resource};
use crate::inspect::Inspector;
use crate::status::Status;
use crate::tuning::Reload;

/// The status page; it asks `/status` for all it shows.
const PAGE: &str = include_str!("page.html");
/// The page runs its own script and style and talks to its own node only.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";

/// The parts of the node that operators ask and order.
#[derive(Debug)]
pub struct Parts {
    /// The breakers around other parties.
    pub breakers: Breakers,
    /// The records that could not be used.
    pub dead_letters: DeadLetters,
    /// The way to the center.
    pub sink: SinkDoor,
    /// The configuration.
    pub reload: Arc<Reload>,
    /// Jobs against the center.
    pub resync: ResyncDoor,
    /// What ranks.
    pub feed: FeedDoor,
    /// The backups.
    pub keeper: Arc<Keeper>,
    /// What the store holds of one user, post or author.
    pub inspector: Arc<Inspector>,
    /// The forgetting of users.
    pub forgetter: Arc<Forgetter>,
}

/// The admin routes.
pub fn routes(status: Arc<Status>, metrics: PrometheusHandle, guard: Guard, parts: Parts) -> Routes {
    let guard = Arc::new(guard);
    let readyz = {
        let status = Arc::clone(&status);
        move |_| ready(readiness(&status))
    };
    let exposition = {
        let guard = Arc::clone(&guard);
        move |call: Call| ready(guard.read(&call.headers).map(|()| text(metrics.render())))
    };
    let snapshot = {
        let (guard, status) = (Arc::clone(&guard), Arc::clone(&status));
        move |call: Call| ready(guard.read(&call.headers).and_then(|()| uncached(&status.snapshot())))
    };
    let breaker = {
        let (guard, breakers) = (Arc::clone(&guard), parts.breakers);
        move |call: Call| {
            let (guard, breakers) = (Arc::clone(&guard), Arc::clone(&breakers));
            async move { breaker::answer(&guard, &breakers, call).await }
        }
    };
    let drain = {
        let guard = Arc::clone(&guard);
        move |call: Call| ready(guard.change(&call.headers).and_then(|()| drain(&status)))
    };
    let routes = [
        resource(path!("healthz"), "/healthz", Takes::Get, |_| ready(resource::json(&json!({ "ok": true })))),
        resource(path!("readyz"), "/readyz", Takes::Get, readyz),
        resource(path!("metrics"), "/metrics", Takes::Get, exposition),
        resource(path!("status"), "/status", Takes::Get, snapshot),
        resource(path!("admin" / "breaker"), "/admin/breaker", Takes::GetOrPost, breaker),
        resource(path!("admin" / "drain"), "/admin/drain", Takes::Post, drain),
        resource(warp::path::end(), "/", Takes::Get, |_| ready(Ok(page()))),
    ];
    let dlq = dlq::routes(&guard, &Arc::new(parts.dead_letters));
    let sink = sink::routes(&guard, &Arc::new(parts.sink));
    let feed = Arc::new(parts.feed);
    let ranking = [reload::route(&guard, &parts.reload), explain::route(&guard, &feed), replay::route(&guard, &feed)];
    let inspect = inspect::routes(&guard, &parts.inspector);
    let others = [checkpoint::route(&guard, &parts.keeper), forget::route(&guard, &parts.forgetter)];
    let resync = resync::route(&guard, &Arc::new(parts.resync));
    listener(routes.into_iter().chain(dlq).chain(sink).chain(inspect).chain(ranking).chain(others).chain([resync]))
}

fn readiness(status: &Status) -> Result<Response, Error> {
    match status.ready() {
        Ok(()) => resource::json(&json!({ "ready": true, "reasons": [] })),
        Err(reasons) => {
            let body = json!({ "ready": false, "reasons": reasons });
            resource::json_with_status(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

fn drain(status: &Status) -> Result<Response, Error> {
    tracing::warn!("a drain was asked for on the admin listener");
    status.set_draining();
    resource::json_with_status(StatusCode::ACCEPTED, &json!({ "draining": true }))
}

fn uncached(value: &serde_json::Value) -> Result<Response, Error> {
    let mut response = resource::json(value)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn text(exposition: String) -> Response {
    resource::with_type("text/plain; version=0.0.4; charset=utf-8", exposition.into())
}

fn page() -> Response {
    let mut response = resource::with_type("text/html; charset=utf-8", PAGE.into());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}
