//! `GET /openapi.json`: what this listener takes and gives, for programs.

use std::future::{Ready, ready};

use ::http::HeaderValue;
use ::http::header::CACHE_CONTROL;
use bytes::Bytes;
use edgefeed_storage::model::IdKind;
use warp::reply::Response;

use super::error::Error;
use super::resource::{self, Call};
use crate::openapi;

/// The handler; the document is made once. Open to all: it tells nothing that the project's pages do not.
pub(super) fn document(ids: IdKind) -> impl Fn(Call) -> Ready<Result<Response, Error>> + Clone {
    let document = Bytes::from(openapi::text(ids));
    move |_| {
        let mut response = resource::with_type("application/json", document.clone());
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        ready(Ok(response))
    }
}
