//! What the handlers of operators' orders have in common.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::reply::Response;

use super::guard::Guard;
use crate::http::resource::{self, Call};
use crate::http::{Error, body};
use crate::kept::Trouble;

/// The largest order, in bytes.
const ORDER_MAX_BYTES: usize = 64 << 10;

/// A handler with what it stands on.
pub(super) fn bound<P, H, F>(guard: &Arc<Guard>, part: &Arc<P>, handler: H) -> impl Fn(Call) -> F + Clone + use<P, H, F>
where
    H: Fn(Arc<Guard>, Arc<P>, Call) -> F + Copy,
{
    let (guard, part) = (Arc::clone(guard), Arc::clone(part));
    move |call| handler(Arc::clone(&guard), Arc::clone(&part), call)
}

/// An order: the body, as JSON.
pub(super) async fn order<T: DeserializeOwned>(call: Call) -> Result<T, Error> {
    let body = body::read(call.body, ORDER_MAX_BYTES).await?;
    serde_json::from_slice(&body).map_err(|error| Error::BadParameter(format!("the order cannot be read: {error}")))
}

/// Answers with what `work` gives, on a thread that may wait.
pub(super) async fn answer<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<Response, Error>
where
    T: Serialize + Send + 'static,
    E: Into<Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => resource::json(&outcome.map_err(Into::into)?),
        Err(error) => {
            tracing::error!(%error, "an order of an operator panicked");
            Err(Error::Internal)
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Asked(message) => Self::BadParameter(message),
            Trouble::Store(error) => {
                tracing::error!(%error, "an order of an operator met a store that failed");
                Self::Internal
            }
        }
    }
}
