//! The one table of errors: what a client did or met, its status, its code. Nothing else in the node names a status
//! of an error.

use std::borrow::Cow;

use ::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use warp::reply::Response;

use crate::auth::Denied;
use crate::events::{BadPosition, PostError};
use crate::feed::page::FeedError;

/// The body of every error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// A word for programs.
    pub code: &'static str,
    /// A line for people.
    pub message: String,
    /// Under which the node's log knows the request; also in the header `X-Request-Id`.
    pub request_id: String,
}

/// Why a request got no answer of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A query parameter cannot be read; the message says which and what it may be.
    #[error("{0}")]
    BadParameter(String),
    /// The cursor is not one of ours.
    #[error("the cursor is not valid; start again without one")]
    BadCursor,
    /// The request is not HTTP as the node reads it.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    /// None of the events posted can be taken; the message names the first ones.
    #[error("{0}")]
    BadEvents(String),
    /// The caller is not known.
    #[error("{0}")]
    Unauthorized(Denied),
    /// The caller is known and lacks a scope.
    #[error("this needs the scope {0}")]
    MissingScope(&'static str),
    /// The caller is refused for another reason.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is nothing at this path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path exists for other methods.
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    /// What an operator asks for cannot be done as things stand; the message says why and what to do.
    #[error("{0}")]
    Conflict(String),
    /// Another party that an operator's order needs does not do its part; the message says which and what to do.
    #[error("{0}")]
    Dependency(String),
    /// The request target is longer than the limit, in bytes.
    #[error("the request target is longer than {0} bytes")]
    TargetTooLong(usize),
    /// The request's head is larger than the limit, or has more fields.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// The body is larger than the limit, in bytes.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body is not of the type the path takes.
    #[error("the body must be {0}")]
    UnsupportedMediaType(&'static str),
    /// Too many requests of one caller; after so many seconds there is room again.
    #[error("too many requests; try again later")]
    RateLimited(u32),
    /// Kafka is away, and there is no room for more events to wait for it.
    #[error("there is no room for more events at the moment; try again later, with the same event_ids")]
    SpoolFull,
    /// More connections than the node takes.
    #[error("the node takes no more connections; try again later")]
    TooManyConnections,
    /// More requests than the node can answer in time.
    #[error("the node is too busy; try again later")]
    Overloaded,
    /// The answer took longer than the limit.
    #[error("the answer took too long; try again later")]
    Timeout,
    /// No source can answer.
    #[error("no source can answer at the moment; try again later")]
    Unavailable,
    /// A fault of ours; what happened is in the log under the request's id.
    #[error("the node failed to answer; try again later")]
    Internal,
}

impl Error {
    /// The table: status and code of each error.
    pub const fn row(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadParameter(_) => (StatusCode::BAD_REQUEST, "bad_parameter"),
            Self::BadCursor => (StatusCode::BAD_REQUEST, "bad_cursor"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::BadEvents(_) => (StatusCode::BAD_REQUEST, "bad_events"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::MissingScope(_) => (StatusCode::FORBIDDEN, "missing_scope"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Dependency(_) => (StatusCode::SERVICE_UNAVAILABLE, "dependency"),
            Self::TargetTooLong(_) => (StatusCode::URI_TOO_LONG, "target_too_long"),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::SpoolFull => (StatusCode::SERVICE_UNAVAILABLE, "spool_full"),
            Self::TooManyConnections => (StatusCode::SERVICE_UNAVAILABLE, "too_many_connections"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Internal => (StatusCode::SERVICE_UNAVAILABLE, "internal"),
        }
    }

    /// The error for a status that something below the handlers chose.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            status if status.is_client_error() => Self::BadRequest("the request cannot be read".into()),
            _ => Self::Internal,
        }
    }

    /// A response that carries the error; its body is written where the request's id is known.
    pub fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.row().0;
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }

    /// The one shape of an error.
    pub(super) fn body(&self, request_id: &str) -> Bytes {
        let (_, code) = self.row();
        let error = ErrorDetail { code, message: self.to_string(), request_id: request_id.to_owned() };
        // Three strings always serialise.
        serde_json::to_vec(&ErrorBody { error }).unwrap_or_default().into()
    }

    /// Adds the fields that belong to the error: `WWW-Authenticate`, `Allow`, `Retry-After`.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        match self {
            Self::Unauthorized(Denied::Missing) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Unauthorized(_) => {
                let value = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
                headers.insert(WWW_AUTHENTICATE, value);
            }
            Self::MissingScope(_) => {
                let value = HeaderValue::from_static(r#"Bearer error="insufficient_scope""#);
                headers.insert(WWW_AUTHENTICATE, value);
            }
            Self::MethodNotAllowed(allow) => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    /// Seconds after which another try makes sense.
    const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::RateLimited(seconds) => Some(*seconds),
            // An outage of Kafka lasts longer than a moment.
            Self::SpoolFull => Some(10),
            Self::TooManyConnections | Self::Overloaded | Self::Timeout | Self::Unavailable | Self::Internal => Some(1),
            _ => None,
        }
    }
}

impl From<PostError> for Error {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Body(message) => Self::BadRequest(message.into()),
            PostError::AllBad(message) => Self::BadEvents(message),
            PostError::NotYours => Self::MissingScope("events:any"),
            PostError::Full => Self::SpoolFull,
            PostError::Internal => Self::Internal,
        }
    }
}

impl From<BadPosition> for Error {
    fn from(error: BadPosition) -> Self {
        Self::BadParameter(error.to_string())
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            // Nothing is wrong with the caller.
            Denied::NoKeys => Self::Unavailable,
            denied => Self::Unauthorized(denied),
        }
    }
}

impl From<FeedError> for Error {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::BadCursor => Self::BadCursor,
            FeedError::Internal => Self::Internal,
            FeedError::Unavailable(cause) => {
                // The cause names parts of the inside; it is for the log.
                tracing::warn!(cause, "no source can answer the feed");
                Self::Unavailable
            }
        }
    }
}
