//! `POST /api/v1/events`: what readers did, into Kafka.

use std::sync::Arc;

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use ::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::body;
use super::error::Error;
use super::resource::{self, Call};
use super::router::Services;
use crate::clock::now_ms;

/// Takes a request's events.
pub(super) async fn post(services: Arc<Services>, call: Call) -> Result<Response, Error> {
    let caller = services.door.admit(&call.headers).await?;
    if !is_json(&call.headers) {
        return Err(Error::UnsupportedMediaType("application/json, not compressed"));
    }
    let body = body::read(call.body, services.max_body_bytes).await?;
    let answer = (services.events)(caller, body, now_ms()).await?;
    let mut response = resource::json(&answer)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Whether the body is said to be plain JSON; parameters, such as a charset, do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return false;
    }
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = named.map(|named| named.split(';').next().unwrap_or_default().trim());
    media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
}
