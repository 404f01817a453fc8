//! Every route of the public listener.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use edgefeed_storage::model::{Id, IdKind};
use warp::path;
use warp::reply::Response;

use super::door::Door;
use super::error::Error;
use super::resource::{Call, Route, Routes, Takes, listener, resource};
use super::{events, explain, feed, openapi, suggested, trending};
use crate::auth::Caller;
use crate::events::{Answer, BadPosition, PostError};
use crate::feed::page::{FeedError, FeedPage, FeedRequest};
use crate::feed::{ExplainRequest, Explanation};
use crate::suggest::{SuggestedRequest, SuggestedUsers};
use crate::trending::{TrendingPage, TrendingRequest};

/// An answer in the making. It blocks no thread; it is dropped when the reader goes away.
pub type Answering<T> = Pin<Box<dyn Future<Output = Result<T, FeedError>> + Send>>;
/// A page in the making.
pub type PageFuture = Answering<FeedPage>;
/// Makes a page: `(request, now in epoch milliseconds)`.
pub type PageFn = Arc<dyn Fn(FeedRequest, i64) -> PageFuture + Send + Sync>;

/// Explains one post.
pub type ExplainFn = Arc<dyn Fn(ExplainRequest, i64) -> Answering<Explanation> + Send + Sync>;
/// Drops a reader's pinned pages: `(reader, now in epoch milliseconds)`. Tells how many rankings there were.
pub type ForgetFn = Arc<dyn Fn(Id, i64) -> usize + Send + Sync>;
/// Makes a page of trending posts.
pub type TrendingFn = Arc<dyn Fn(TrendingRequest, i64) -> Answering<TrendingPage> + Send + Sync>;
/// Finds users to suggest.
pub type SuggestedFn = Arc<dyn Fn(SuggestedRequest, i64) -> Answering<SuggestedUsers> + Send + Sync>;

/// Takes a body of events: `(poster, body, now in epoch milliseconds)`.
pub type EventsFn =
    Arc<dyn Fn(Caller, Bytes, i64) -> Pin<Box<dyn Future<Output = Result<Answer, PostError>> + Send>> + Send + Sync>;
/// Waits until a position is applied, a little while at most; tells whether it is.
pub type PositionFn =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<bool, BadPosition>> + Send>> + Send + Sync>;

/// What the handlers stand on.
#[derive(Clone)]
pub struct Services {
    /// Who may come in.
    pub door: Arc<Door>,
    /// Which kind of ids the deployment uses.
    pub ids: IdKind,
    /// Makes feeds.
    pub page: PageFn,
    /// Explains posts.
    pub explain: ExplainFn,
    /// Drops pinned pages.
    pub forget: ForgetFn,
    /// Makes pages of trending posts.
    pub trending: TrendingFn,
    /// Finds users to suggest.
    pub suggested: SuggestedFn,
    /// Takes events.
    pub events: EventsFn,
    /// Waits for positions.
    pub position: PositionFn,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// The public routes.
pub fn routes(services: &Services) -> Routes {
    listener(table(services))
}

/// Every route. Each has its operation in `openapi::operations`, where a test holds the two together.
pub(crate) fn table(services: &Services) -> Vec<Route> {
    let document = openapi::document(services.ids);
    let services = &Arc::new(services.clone());
    let meter = feed::Meter::new();
    let page = move |services, call| feed::page(meter.clone(), services, call);
    vec![
        resource(path!("api" / "v1" / "feed"), "/api/v1/feed", Takes::Get, on(services, page)),
        resource(
            path!("api" / "v1" / "feed" / "explain"),
            "/api/v1/feed/explain",
            Takes::Get,
            on(services, explain::explain),
        ),
        resource(
            path!("api" / "v1" / "feed" / "invalidate"),
            "/api/v1/feed/invalidate",
            Takes::Post,
            on(services, feed::invalidate),
        ),
        resource(
            path!("api" / "v1" / "feed" / "trending"),
            "/api/v1/feed/trending",
            Takes::Get,
            on(services, trending::page),
        ),
        resource(
            path!("api" / "v1" / "discover" / "suggested-users"),
            "/api/v1/discover/suggested-users",
            Takes::Get,
            on(services, suggested::page),
        ),
        resource(path!("api" / "v1" / "events"), "/api/v1/events", Takes::Post, on(services, events::post)),
        resource(path!("openapi.json"), "/openapi.json", Takes::Get, document),
    ]
}

/// A handler with what it stands on.
fn on<H, F>(services: &Arc<Services>, handler: H) -> impl Fn(Call) -> F + Clone + Send + Sync + 'static
where
    H: Fn(Arc<Services>, Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Error>> + Send,
{
    let services = Arc::clone(services);
    move |call| handler(Arc::clone(&services), call)
}
