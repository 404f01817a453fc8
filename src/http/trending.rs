//! `GET /api/v1/feed/trending`: what is trending, without what the caller may not see.

use std::sync::Arc;
use std::time::Instant;

use ::http::HeaderValue;
use ::http::header::CACHE_CONTROL;
use warp::reply::Response;

use super::error::Error;
use super::feed::{DEFAULT_LIMIT, MAX_LIMIT, cursor};
use super::query::Query;
use super::resource::{self, Call};
use super::router::Services;
use crate::clock::now_ms;
use crate::ranking::trending::Window;
use crate::trending::TrendingRequest;

/// Answers with a page.
pub(super) async fn page(services: Arc<Services>, call: Call) -> Result<Response, Error> {
    let start = Instant::now();
    let caller = services.door.admit(&call.headers).await?;
    let query = Query::parse(&call.query)?;
    let request = TrendingRequest {
        viewer: caller.user,
        window: query.choice("window", &Window::ALL.map(|window| (window.name(), window)), Window::Day)?,
        limit: query.number("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)?,
        cursor: cursor(&query)?,
    };
    let page = (services.trending)(request, now_ms()).await?;
    let mut response = resource::json(&page)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    metrics::histogram!("edgefeed_discover_duration_seconds", "what" => "trending")
        .record(start.elapsed().as_secs_f64());
    Ok(response)
}
