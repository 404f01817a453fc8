//! How a route is made: a path, the methods it takes, a handler. Every outcome is an answer; warp's rejections never
//! reach a client.

use std::future::Future;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::body::{self, Incoming};
use super::error::Error;

/// The routes of one listener, as the server takes them.
pub type Routes = BoxedFilter<(Response,)>;

/// The route of one path, before it is joined with others.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its path, which is its label in metrics too.
    pub name: &'static str,
    /// The methods it takes.
    pub takes: Takes,
    filter: Routes,
}

/// The label of the route that answered, in a response's extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteName(pub(super) &'static str);

/// Marks a response with an error status and a body of its own, which is kept: `/readyz` says what is not ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deliberate;

/// Which methods a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// GET, and HEAD as GET without the body.
    Get,
    /// POST.
    Post,
    /// All of these.
    GetOrPost,
}

impl Takes {
    fn admits(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
            Self::GetOrPost => Self::Get.admits(method) || Self::Post.admits(method),
        }
    }

    /// The value of `Allow`.
    const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::GetOrPost => "GET, HEAD, POST",
        }
    }
}

/// A request as handlers see it.
pub struct Call {
    /// Its method, one of those the path takes.
    pub method: Method,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its query string, as sent; empty when there is none.
    pub query: String,
    /// Its body, not read yet; see [`body::read`].
    pub body: Incoming,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither headers nor query: they hold tokens and ids.
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// The route of one path. `name` is its label in metrics.
pub fn resource<P, H, F>(path: P, name: &'static str, takes: Takes, handler: H) -> Route
where
    P: Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static,
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Error>> + Send,
{
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let filter = path
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::body::stream())
        .then(move |method: Method, headers, query, stream| {
            let body = body::incoming(stream);
            let handler = handler.clone();
            async move {
                let outcome = if takes.admits(&method) {
                    handler(Call { method, headers, query, body }).await
                } else {
                    Err(Error::MethodNotAllowed(takes.allow()))
                };
                let mut response = outcome.unwrap_or_else(Error::into_response);
                response.extensions_mut().insert(RouteName(name));
                response
            }
        })
        .boxed();
    Route { name, takes, filter }
}

/// Closes a list of routes: any other path is 404.
pub fn listener(routes: impl IntoIterator<Item = Route>) -> Routes {
    let nothing = warp::any().map(|| Error::NotFound.into_response()).boxed();
    let mut routes: Vec<_> = routes.into_iter().collect();
    // The first that matches answers, so the list is tried in order and `nothing` last.
    let mut all = nothing;
    while let Some(route) = routes.pop() {
        all = route.filter.or(all).unify().boxed();
    }
    all
}

/// A JSON answer; 503 should the value not serialise, which is ours to mend.
pub fn json<T: serde::Serialize>(value: &T) -> Result<Response, Error> {
    // Room for a page of twenty posts: growing to it by doubling costs as much as writing it.
    let mut bytes = Vec::with_capacity(8 << 10);
    serde_json::to_writer(&mut bytes, value).map_err(|error| {
        tracing::error!(%error, "an answer does not serialise");
        Error::Internal
    })?;
    Ok(with_type("application/json", bytes.into()))
}

/// A JSON answer with a status of its own, errors included, whose body is kept as it is.
pub fn json_with_status<T: serde::Serialize>(status: StatusCode, value: &T) -> Result<Response, Error> {
    let mut response = json(value)?;
    *response.status_mut() = status;
    response.extensions_mut().insert(Deliberate);
    Ok(response)
}

/// An answer of a media type.
pub fn with_type(media_type: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
