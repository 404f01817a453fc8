//! `GET /api/v1/feed/explain`: why a post stands where it does on the caller's ranking, or which stage left it out.

use std::sync::Arc;

use ::http::HeaderValue;
use ::http::header::CACHE_CONTROL;
use edgefeed_storage::model::IdKind;
use warp::reply::Response;

use super::error::Error;
use super::feed::{preset, viewer};
use super::query::Query;
use super::resource::{self, Call};
use super::router::Services;
use crate::clock::now_ms;
use crate::feed::ExplainRequest;

/// Answers with everything there is to say of one post.
pub(super) async fn explain(services: Arc<Services>, call: Call) -> Result<Response, Error> {
    let caller = services.door.admit(&call.headers).await?;
    let query = Query::parse(&call.query)?;
    let request = ExplainRequest {
        viewer: viewer(&query, caller, services.ids)?,
        post: id(&query, "post_id", services.ids)?,
        preset: preset(&query)?,
    };
    let told = (services.explain)(request, now_ms()).await?.discreet();
    let mut response = resource::json(&told)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// An id that must be given.
pub(crate) fn id(query: &Query<'_>, name: &str, ids: IdKind) -> Result<edgefeed_storage::model::Id, Error> {
    let given = query.get(name)?.and_then(|text| ids.parse(text));
    given.ok_or_else(|| Error::BadParameter(format!("{name} must be an id of kind {}", ids.name())))
}
