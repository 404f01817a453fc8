//! `/admin/forget`: the order to forget a user.

use std::sync::Arc;

use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::{bound, order};
use crate::clock::now_ms;
use crate::forget::{Forgetter, Order, Trouble};
use crate::http::Error;
use crate::http::resource::{self, Call, Route, Takes, resource};

/// The route of this resource.
pub(super) fn route(guard: &Arc<Guard>, forgetter: &Arc<Forgetter>) -> Route {
    resource(path!("admin" / "forget"), "/admin/forget", Takes::Post, bound(guard, forgetter, forget))
}

async fn forget(guard: Arc<Guard>, forgetter: Arc<Forgetter>, call: Call) -> Result<Response, Error> {
    guard.change(&call.headers)?;
    let order: Order = order(call).await?;
    // On a task of its own: it goes on when the operator goes away.
    let done = tokio::spawn(async move { forgetter.forget(&order, now_ms()).await }).await;
    match done {
        Ok(done) => resource::json(&done?),
        Err(error) => {
            tracing::error!(%error, "forgetting panicked");
            Err(Error::Internal)
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Asked(message) => Self::BadParameter(message),
            other => {
                tracing::error!(error = %other, "forgetting failed");
                Self::Internal
            }
        }
    }
}
