//! Every route of the public listener.

use std::pin::Pin;
use std::sync::Arc;

use edgefeed_storage::model::IdKind;
use warp::path;

use super::door::Door;
use super::feed;
use super::resource::{Routes, Takes, listener, resource};
use crate::feed::page::{FeedError, FeedPage, FeedRequest};

/// A page in the making. It blocks no thread; it is dropped when the reader goes away.
pub type PageFuture = Pin<Box<dyn Future<Output = Result<FeedPage, FeedError>> + Send>>;
/// Makes a page: `(request, now in epoch milliseconds)`.
pub type PageFn = Arc<dyn Fn(FeedRequest, i64) -> PageFuture + Send + Sync>;

/// What the handlers stand on.
#[derive(Clone)]
pub struct Services {
    /// Who may come in.
    pub door: Arc<Door>,
    /// Which kind of ids the deployment uses.
    pub ids: IdKind,
    /// Makes feeds.
    pub page: PageFn,
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
    listener([resource(path!("api" / "v1" / "feed"), "/api/v1/feed", Takes::Get, feed)])
}
