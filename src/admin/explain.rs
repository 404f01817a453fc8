//! `/admin/explain`: any post on any reader's ranking, for operators and for `edgefeed explain`.

use std::fmt;
use std::sync::Arc;

use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::bound;
use crate::clock::now_ms;
use crate::feed::{ExplainRequest, Feed};
use crate::http::Error;
use crate::http::explain::id;
use crate::http::feed::preset;
use crate::http::query::Query;
use crate::http::resource::{self, Call, Route, Takes, resource};

/// The feed that ranks at the time.
#[derive(Clone)]
pub struct FeedDoor(Arc<dyn Fn() -> Arc<Feed> + Send + Sync>);

impl fmt::Debug for FeedDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedDoor").finish_non_exhaustive()
    }
}

impl FeedDoor {
    /// `find` gives the feed of the store that serves at the time.
    pub fn of(find: impl Fn() -> Arc<Feed> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// The feed that ranks now.
    pub(super) fn now(&self) -> Arc<Feed> {
        (self.0)()
    }
}

/// The route of this resource.
pub(super) fn route(guard: &Arc<Guard>, feed: &Arc<FeedDoor>) -> Route {
    resource(path!("admin" / "explain"), "/admin/explain", Takes::Get, bound(guard, feed, explain))
}

async fn explain(guard: Arc<Guard>, feed: Arc<FeedDoor>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    let query = Query::parse(&call.query)?;
    let feed = feed.now();
    let ids = feed.ids();
    let (viewer, post, preset) = (id(&query, "user", ids)?, id(&query, "post", ids)?, preset(&query)?);
    resource::json(&feed.explain_well(ExplainRequest { viewer, post, preset }, now_ms()).await?)
}
