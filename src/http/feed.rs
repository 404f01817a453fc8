//! `GET /api/v1/feed`: one page of a reader's feed. `POST /api/v1/feed/invalidate`: its later pages are ranked anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::header::CACHE_CONTROL;
use ::http::{HeaderValue, StatusCode};
use edgefeed_storage::model::{Id, IdKind};
use metrics::{Counter, Histogram};
use serde::Serialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::error::Error;
use super::query::Query;
use super::resource::{self, Call};
use super::router::Services;
use crate::auth::Caller;
use crate::clock::now_ms;
pub(crate) use crate::feed::page::DEFAULT_LIMIT;
use crate::feed::page::{Algo, FeedPage, FeedRequest, ServedFrom};
use crate::ranking::Preset;

/// Largest page, in posts.
pub(crate) const MAX_LIMIT: usize = 100;
/// The longest cursor looked at, in bytes.
pub(crate) const MAX_CURSOR_BYTES: usize = 2_048;

/// Counts requests by the source that answered. Found once: to find a counter by its labels takes longer than to count.
#[derive(Clone)]
pub(super) struct Meter(Arc<[(ServedFrom, Counter, Histogram)]>);

impl Meter {
    pub(super) fn new() -> Self {
        let of = |from: ServedFrom| (from, counter(from.name(), StatusCode::OK), histogram(from.name()));
        Self([ServedFrom::Local, ServedFrom::Cache, ServedFrom::Fallback].map(of).into())
    }

    fn count(&self, outcome: Result<ServedFrom, &Error>, took: Duration) {
        let known = outcome.ok().and_then(|from| self.0.iter().find(|(known, _, _)| *known == from));
        match (known, outcome) {
            (Some((_, requests, duration)), _) => {
                requests.increment(1);
                duration.record(took);
            }
            (None, outcome) => {
                counter("none", outcome.err().map_or(StatusCode::OK, |error| error.row().0)).increment(1);
                histogram("none").record(took);
            }
        }
    }
}

fn counter(source: &'static str, status: StatusCode) -> Counter {
    metrics::counter!("edgefeed_feed_requests_total", "source" => source, "status" => status.as_str().to_owned())
}

fn histogram(source: &'static str) -> Histogram {
    metrics::histogram!("edgefeed_feed_duration_seconds", "source" => source)
}

/// Answers with a page, and counts the request.
pub(super) async fn page(meter: Meter, services: Arc<Services>, call: Call) -> Result<Response, Error> {
    let start = Instant::now();
    let outcome = answer(&services, call).await;
    meter.count(outcome.as_ref().map(|(from, _)| *from), start.elapsed());
    outcome.map(|(_, response)| response)
}

/// The page as an answer, and the source that gave it.
async fn answer(services: &Services, call: Call) -> Result<(ServedFrom, Response), Error> {
    let caller = services.door.admit(&call.headers).await?;
    let query = Query::parse(&call.query)?;
    let request = request(&query, caller, services.ids)?;
    let reached = reached(services, &query).await?;
    let mut page = (services.page)(request, now_ms()).await?;
    page.degraded.extend((!reached).then_some("position_not_reached"));
    Ok((page.served_from, respond(&page)?))
}

/// Waits for the caller's own writes, where they are named; tells whether they are applied.
async fn reached(services: &Services, query: &Query<'_>) -> Result<bool, Error> {
    match query.get("min_position")? {
        None | Some("") => Ok(true),
        Some(position) => Ok((services.position)(position.to_owned()).await?),
    }
}

fn respond(page: &FeedPage) -> Result<Response, Error> {
    let mut response = resource::json(page)?;
    let headers = response.headers_mut();
    headers.insert("x-feed-source", HeaderValue::from_static(page.served_from.name()));
    if let Some(staleness_ms) = page.freshness.staleness_ms {
        headers.insert("x-feed-staleness-ms", HeaderValue::from(staleness_ms));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// What came of dropping a reader's pinned pages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invalidated {
    /// How many rankings were pinned.
    dropped: usize,
}

/// Drops the pinned pages of the caller, or of the user the caller may act for.
pub(super) async fn invalidate(services: Arc<Services>, call: Call) -> Result<Response, Error> {
    let caller = services.door.admit(&call.headers).await?;
    let viewer = viewer(&Query::parse(&call.query)?, caller, services.ids)?;
    resource::json(&Invalidated { dropped: (services.forget)(viewer, now_ms()) })
}

/// What is asked, read strictly.
fn request(query: &Query<'_>, caller: Caller, ids: IdKind) -> Result<FeedRequest, Error> {
    Ok(FeedRequest {
        viewer: viewer(query, caller, ids)?,
        limit: query.number("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)?,
        algo: query.choice("algo", &[("ranked", Algo::Ranked), ("time", Algo::Time)], Algo::Ranked)?,
        preset: preset(query)?,
        refresh: query.flag("refresh")?,
        explain: query.flag("explain")?,
        cursor: cursor(query)?,
    })
}

/// The preset chosen; the balanced one when none is.
pub(crate) fn preset(query: &Query<'_>) -> Result<Preset, Error> {
    query.choice("preset", &Preset::ALL.map(|preset| (preset.name(), preset)), Preset::Balanced)
}

/// The caller, or the user the caller may act for.
pub(super) fn viewer(query: &Query<'_>, caller: Caller, ids: IdKind) -> Result<Id, Error> {
    let Some(text) = query.get("user")? else { return Ok(caller.user) };
    let user =
        ids.parse(text).ok_or_else(|| Error::BadParameter(format!("user must be an id of kind {}", ids.name())))?;
    if user != caller.user && !caller.scopes.feed_any {
        return Err(Error::MissingScope("feed:any"));
    }
    Ok(user)
}

/// A cursor as given out; an empty one means the first page, as clients send it before they have one.
pub(super) fn cursor(query: &Query<'_>) -> Result<Option<String>, Error> {
    match query.get("cursor")? {
        None | Some("") => Ok(None),
        Some(text) if text.len() > MAX_CURSOR_BYTES => Err(Error::BadCursor),
        Some(text) => Ok(Some(text.to_owned())),
    }
}
