//! One request from head to answer: what every route has in common. The id, the bounds, the timeout, the net for
//! panics, the one error shape, the headers, the count.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use ::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tower::{Layer, Service, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::SizeAbove;
use warp::reply::Response as Reply;

use super::body::Tracked;
use super::connection::Shared;
use super::edge::Edge;
use super::error::Error;
use super::limits::Config;
use super::phase::{Phase, Progress};
use super::request_id::RequestId;
use super::resource::{Deliberate, RouteName, Routes};
use super::{cors, headers};

/// What a connection hands back to hyper; it never fails.
pub(super) type Answer<B> = Result<Response<Tracked<B>>, Infallible>;

/// Answers one request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    peer: IpAddr,
    progress: Arc<Progress>,
    request: Request<Incoming>,
) -> Answer<impl hyper::body::Body<Data = bytes::Bytes, Error: Into<tower::BoxError>> + Unpin + use<>> {
    progress.enter(Phase::Busy);
    let Shared { routes, edge } = &*shared;
    let id = RequestId::of(request.headers());
    let method = method_label(request.method());
    let (wanted, edge, id) = (edge.compress_min_bytes > 0, edge, &id);
    let handled = service_fn(move |request| async move {
        Ok::<_, Infallible>(finish(handle(routes, edge, peer, request, id).await, id))
    });
    let crossed = service_fn(move |request: Request<Incoming>| {
        let cors = edge.cors.as_ref().filter(|_| cors::concerns(request.headers()));
        let mut handled = handled;
        async move {
            match cors {
                Some(cors) => cors.layer(handled).call(request).await,
                None => handled.call(request).await,
            }
        }
    });
    let mut compressed = Compression::new(crossed)
        .gzip(wanted)
        .br(wanted)
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(edge.compress_min_bytes));
    let Ok(mut reply) = compressed.call(request).await;
    headers::add_common(reply.headers_mut(), id, edge.tls.is_some());
    let route = reply.extensions().get::<RouteName>().map_or("none", |name| name.0);
    let status = reply.status().as_str().to_owned();
    metrics::counter!("edgefeed_http_requests_total", "route" => route, "method" => method, "status" => status)
        .increment(1);
    progress.enter(Phase::Body);
    Ok(reply.map(|body| Tracked::new(body, progress)))
}

/// A request's way past the bounds to its route.
async fn handle(routes: &Routes, edge: &Edge, peer: IpAddr, request: Request<Incoming>, id: &RequestId) -> Reply {
    // Held until the answer is made.
    let _place = match edge.admit(peer, request.headers()) {
        Ok(place) => place,
        Err(error) => return error.into_response(),
    };
    match precheck(&request, &edge.limits) {
        Ok(()) => route(routes.clone(), &edge.limits, request, id).await,
        Err(error) => error.into_response(),
    }
}

/// What is refused before a route is looked for.
fn precheck(request: &Request<Incoming>, limits: &Config) -> Result<(), Error> {
    let target = request.uri();
    let length = target.path_and_query().map_or(0, |target| target.as_str().len());
    if length > limits.max_uri_bytes {
        return Err(Error::TargetTooLong(limits.max_uri_bytes));
    }
    let claimed = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let claimed = claimed.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    if usize::try_from(claimed).map_or(true, |claimed| claimed > limits.max_body_bytes) {
        return Err(Error::BodyTooLarge(limits.max_body_bytes));
    }
    Ok(())
}

async fn route(routes: Routes, limits: &Config, request: Request<Incoming>, id: &RequestId) -> Reply {
    let answered = tokio::time::timeout(limits.request_timeout(), caught(warp::service(routes).call(request))).await;
    match answered {
        Ok(Some(Ok(reply))) => reply,
        Ok(None) => {
            tracing::error!(request_id = id.as_str(), "a handler panicked; the connection goes on");
            Error::Internal.into_response()
        }
        Err(_) => Error::Timeout.into_response(),
    }
}

/// The outcome of a future, or `None` when it panicked: one request fails, not the connection's others.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    // The future is not touched again after a panic.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Gives an answer that is an error its body.
fn finish(mut reply: Reply, id: &RequestId) -> Reply {
    let status = reply.status();
    let error = reply.extensions_mut().remove::<Error>();
    let error = error.or_else(|| is_bare_error(&reply).then(|| Error::of_status(status)));
    if let Some(error) = error {
        let (status, _) = error.row();
        *reply.status_mut() = status;
        *reply.body_mut() = error.body(id.as_str()).into();
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(error, Error::BodyTooLarge(_) | Error::Timeout) {
            // What is left of the body would be read as the next request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    reply
}

/// An error status that did not come out of our table: warp's own rejections.
fn is_bare_error(reply: &Reply) -> bool {
    let status = reply.status();
    (status.is_client_error() || status.is_server_error()) && reply.extensions().get::<Deliberate>().is_none()
}

/// Methods are the client's to choose; labels are not.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
