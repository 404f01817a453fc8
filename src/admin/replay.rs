//! `/admin/replay`: other numbers, tried on the requests of late, for `edgefeed replay`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use warp::path;
use warp::reply::Response;

use super::explain::FeedDoor;
use super::guard::Guard;
use super::handler::{answer, bound, order};
use crate::clock::now_ms;
use crate::feed::FeedError;
use crate::http::Error;
use crate::http::resource::{Call, Route, Takes, resource};
use crate::ranking;
use crate::tuning::{REPLAY_MAX, Sets};

/// An order to try numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayOrder {
    /// The `[ranking]` section to try.
    pub(crate) ranking: ranking::Config,
    /// How many of the newest requests.
    pub(crate) requests: usize,
}

/// The route of this resource.
pub(super) fn route(guard: &Arc<Guard>, feed: &Arc<FeedDoor>) -> Route {
    resource(path!("admin" / "replay"), "/admin/replay", Takes::Post, bound(guard, feed, replay))
}

async fn replay(guard: Arc<Guard>, feed: Arc<FeedDoor>, call: Call) -> Result<Response, Error> {
    guard.change(&call.headers)?;
    let order: ReplayOrder = order(call).await?;
    let problems = order.ranking.problems();
    if !problems.is_empty() {
        return Err(Error::BadParameter(problems.join("; ")));
    }
    let feed = feed.now();
    answer(move || {
        let requests = feed.recent(order.requests.min(REPLAY_MAX));
        feed.replay(&requests, &Sets::of(&order.ranking), now_ms()).map_err(FeedError::from)
    })
    .await
}
