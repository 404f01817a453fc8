//! Every route of the public listener.

use std::pin::Pin;
use std::sync::Arc;

use edgefeed_storage::model::{Id, IdKind};
use warp::path;

use super::feed;
use super::resource::{Routes, Takes, listener, resource};
use crate::auth::Auth;
use crate::feed::page::{FeedError, FeedPage, FeedRequest};

/// A page in the making. It blocks no thread; it is dropped when the reader goes away.
pub type PageFuture = Pin<Box<dyn Future<Output = Result<FeedPage, FeedError>> + Send>>;
/// Makes a page: `(request, now in epoch milliseconds)`.
pub type PageFn = Arc<dyn Fn(FeedRequest, i64) -> PageFuture + Send + Sync>;

/// Drops a reader's pinned pages: `(reader, now in epoch milliseconds)`. Tells how many rankings there were.
pub type ForgetFn = Arc<dyn Fn(Id, i64) -> usize + Send + Sync>;

/// What the handlers stand on.
#[derive(Clone)]
pub struct Services {
    /// Decides who asks.
    pub auth: Arc<Auth>,
    /// Which kind of ids the deployment uses.
    pub ids: IdKind,
    /// Makes feeds.
    pub page: PageFn,
    /// Drops pinned pages.
    pub forget: ForgetFn,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// The public routes.
pub fn routes(services: &Services) -> Routes {
    let feed = {
        let services = services.clone();
        move |call| feed::page(services.clone(), call)
    };
    let invalidate = {
        let services = services.clone();
        move |call| feed::invalidate(services.clone(), call)
    };
    listener([
        resource(path!("api" / "v1" / "feed"), "/api/v1/feed", Takes::Get, feed),
        resource(
            path!("api" / "v1" / "feed" / "invalidate"),
            "/api/v1/feed/invalidate",
            Takes::Post,
            invalidate,
        ),
    ])
}
