//! `/admin/resync`: how a rebuild or a refresh stands, and the order for one.

use std::fmt;
use std::sync::Arc;

use ::http::{Method, StatusCode};
use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::{bound, order};
use crate::http::Error;
use crate::http::resource::{self, Call, Route, Takes, resource};
use crate::resync::{JobOrder, Seen, Trouble};

type SeenFn = Arc<dyn Fn() -> Seen + Send + Sync>;
type OrderFn = Arc<dyn Fn(JobOrder) -> Result<Seen, Trouble> + Send + Sync>;

/// Jobs against the center as something to be seen and ordered. An order only begins its job.
#[derive(Clone)]
pub struct ResyncDoor {
    /// How the last one stands.
    pub seen: SeenFn,
    /// Begins one.
    pub order: OrderFn,
}

impl fmt::Debug for ResyncDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResyncDoor").finish_non_exhaustive()
    }
}

/// The route of this resource.
pub(super) fn route(guard: &Arc<Guard>, door: &Arc<ResyncDoor>) -> Route {
    resource(path!("admin" / "resync"), "/admin/resync", Takes::GetOrPost, bound(guard, door, answer))
}

async fn answer(guard: Arc<Guard>, door: Arc<ResyncDoor>, call: Call) -> Result<Response, Error> {
    if call.method != Method::POST {
        guard.read(&call.headers)?;
        return resource::json(&(door.seen)());
    }
    guard.change(&call.headers)?;
    let order: JobOrder = order(call).await?;
    tracing::warn!(job = order.job.name(), dry_run = order.dry_run, "an operator orders a job against the center");
    let seen = (door.order)(order)?;
    resource::json_with_status(StatusCode::ACCEPTED, &seen)
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Asked(message) => Self::BadParameter(message),
            Trouble::Busy(message) => Self::Conflict(message),
        }
    }
}
