//! `/admin/reload`: the configuration is read again.

use std::sync::Arc;

use serde_json::json;
use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::bound;
use crate::http::Error;
use crate::http::resource::{self, Call, Route, Takes, resource};
use crate::tuning::{Refused, Reload};

/// The route of this resource.
pub(super) fn route(guard: &Arc<Guard>, reload: &Arc<Reload>) -> Route {
    resource(path!("admin" / "reload"), "/admin/reload", Takes::Post, bound(guard, reload, again))
}

async fn again(guard: Arc<Guard>, reload: Arc<Reload>, call: Call) -> Result<Response, Error> {
    guard.change(&call.headers)?;
    let outcome = tokio::task::spawn_blocking(move || reload.run()).await.map_err(|error| {
        tracing::error!(%error, "a reload panicked");
        Error::Internal
    })?;
    match outcome {
        Ok(done) => resource::json(&done),
        Err(Refused::NoSources) => Err(Error::Conflict(
            "this node has no configuration to read again; start it with `edgefeed serve`".to_owned(),
        )),
        Err(Refused::Problems(problems)) => {
            let (status, _) = Error::Conflict(String::new()).row();
            resource::json_with_status(status, &json!({ "problems": problems }))
        }
    }
}
