//! `/admin/checkpoint`: how the node's backups stand, and the order to make one.

use std::sync::Arc;

use ::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::bound;
use crate::backup::{Keeper, Trouble};
use crate::http::Error;
use crate::http::resource::{self, Call, Route, Takes, resource};

/// A backup that was begun.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Its number, by which its end is recognised.
    pub(crate) number: u64,
}

/// The route of this resource.
pub(super) fn route(guard: &Arc<Guard>, keeper: &Arc<Keeper>) -> Route {
    resource(path!("admin" / "checkpoint"), "/admin/checkpoint", Takes::GetOrPost, bound(guard, keeper, answer))
}

/// GET tells; POST begins one, which goes on whoever waits for it.
async fn answer(guard: Arc<Guard>, keeper: Arc<Keeper>, call: Call) -> Result<Response, Error> {
    if call.method != Method::POST {
        guard.read(&call.headers)?;
        return resource::json(&keeper.state());
    }
    guard.change(&call.headers)?;
    let number = keeper.begin()?;
    tracing::info!(number, "an operator asks for a backup");
    resource::json_with_status(StatusCode::ACCEPTED, &Begun { number })
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Asked(message) => Self::BadParameter(message),
            Trouble::Failed(message) => Self::Conflict(message),
            other => {
                tracing::error!(error = %other, "a backup met an error");
                Self::Dependency(other.to_string())
            }
        }
    }
}
