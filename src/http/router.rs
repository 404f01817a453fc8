//! Every route of the public listener.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use edgefeed_storage::model::IdKind;
use warp::path;

use super::resource::{Routes, Takes, listener, resource};
use super::{events, feed};
use crate::auth::{Auth, Caller};
use crate::events::{Answer, BadPosition, PostError};
use crate::feed::page::{FeedError, FeedPage, FeedRequest};

/// A page in the making. It blocks no thread; it is dropped when the reader goes away.
pub type PageFuture = Pin<Box<dyn Future<Output = Result<FeedPage, FeedError>> + Send>>;
/// Makes a page: `(request, now in epoch milliseconds)`.
pub type PageFn = Arc<dyn Fn(FeedRequest, i64) -> PageFuture + Send + Sync>;

/// Takes a body of events: `(poster, body, now in epoch milliseconds)`.
pub type EventsFn =
    Arc<dyn Fn(Caller, Bytes, i64) -> Pin<Box<dyn Future<Output = Result<Answer, PostError>> + Send>> + Send + Sync>;
/// Waits until a position is applied, a little while at most; tells whether it is.
pub type PositionFn =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<bool, BadPosition>> + Send>> + Send + Sync>;

/// What the handlers stand on.
#[derive(Clone)]
pub struct Services {
    /// Decides who asks.
    pub auth: Arc<Auth>,
    /// Which kind of ids the deployment uses.
    pub ids: IdKind,
    /// Makes feeds.
    pub page: PageFn,
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
    let feed = {
        let services = services.clone();
        move |call| feed::page(services.clone(), call)
    };
    let events = {
        let services = services.clone();
        move |call| events::post(services.clone(), call)
    };
    listener([
        resource(path!("api" / "v1" / "feed"), "/api/v1/feed", Takes::Get, feed),
        resource(path!("api" / "v1" / "events"), "/api/v1/events", Takes::Post, events),
    ])
}
