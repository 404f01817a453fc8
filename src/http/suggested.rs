//! `GET /api/v1/discover/suggested-users`: whom the caller might follow.

use std::sync::Arc;
use std::time::Instant;

use ::http::HeaderValue;
use ::http::header::CACHE_CONTROL;
use warp::reply::Response;

use super::error::Error;
use super::feed::DEFAULT_LIMIT;
use super::query::Query;
use super::resource::{self, Call};
use super::router::Services;
use crate::clock::now_ms;
use crate::suggest::{SUGGESTED_MAX, SuggestedRequest};

/// Answers with users.
pub(super) async fn page(services: Arc<Services>, call: Call) -> Result<Response, Error> {
    let start = Instant::now();
    let caller = services.door.admit(&call.headers).await?;
    let query = Query::parse(&call.query)?;
    let limit = query.number("limit", 1, SUGGESTED_MAX, DEFAULT_LIMIT)?;
    let users = (services.suggested)(SuggestedRequest { viewer: caller.user, limit }, now_ms()).await?;
    let mut response = resource::json(&users)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    metrics::histogram!("edgefeed_discover_duration_seconds", "what" => "suggested_users")
        .record(start.elapsed().as_secs_f64());
    Ok(response)
}
