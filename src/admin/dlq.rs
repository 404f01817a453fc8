//! `/admin/dlq`: the node's dead letters, for operators and for `edgefeed dlq`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::{answer, bound, order};
use crate::dead_letters::{DeadLetters, DropOrder, LIST_MAX, ListQuery};
use crate::http::Error;
use crate::http::query::Query;
use crate::http::resource::{Call, Route, Takes, resource};

/// How many dead letters are listed when nothing is said.
const DEFAULT_LIMIT: usize = 50;

/// An order to accept bad records.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptOrder {
    /// `<topic>-<partition>`.
    pub(crate) partition: String,
    /// The last offset to accept.
    pub(crate) through: i64,
}

/// The routes of this resource.
pub(super) fn routes(guard: &Arc<Guard>, letters: &Arc<DeadLetters>) -> [Route; 5] {
    let at = (guard, letters);
    [
        resource(path!("admin" / "dlq"), "/admin/dlq", Takes::Get, bound(at.0, at.1, list)),
        resource(path!("admin" / "dlq" / "counts"), "/admin/dlq/counts", Takes::Get, bound(at.0, at.1, counts)),
        resource(path!("admin" / "dlq" / "letter"), "/admin/dlq/letter", Takes::Get, bound(at.0, at.1, show)),
        resource(path!("admin" / "dlq" / "drop"), "/admin/dlq/drop", Takes::Post, bound(at.0, at.1, discard)),
        resource(path!("admin" / "dlq" / "accept"), "/admin/dlq/accept", Takes::Post, bound(at.0, at.1, accept)),
    ]
}

async fn list(guard: Arc<Guard>, letters: Arc<DeadLetters>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    let query = Query::parse(&call.query)?;
    let given = |name| query.get(name).map(|value| value.map(str::to_owned));
    let (topic, reason, cursor) = (given("topic")?, given("reason")?, given("cursor")?);
    let limit = query.number("limit", 1, LIST_MAX, DEFAULT_LIMIT)?;
    answer(move || letters.list(&ListQuery { topic, reason, limit, cursor })).await
}

async fn counts(guard: Arc<Guard>, letters: Arc<DeadLetters>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    answer(move || letters.counts()).await
}

async fn show(guard: Arc<Guard>, letters: Arc<DeadLetters>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    let query = Query::parse(&call.query)?;
    let key = query.get("key")?.ok_or_else(|| Error::BadParameter("key must be given".to_owned()))?.to_owned();
    answer(move || letters.show(&key)).await
}

async fn discard(guard: Arc<Guard>, letters: Arc<DeadLetters>, call: Call) -> Result<Response, Error> {
    guard.change(&call.headers)?;
    let order: DropOrder = order(call).await?;
    answer(move || letters.discard(&order)).await
}

async fn accept(guard: Arc<Guard>, letters: Arc<DeadLetters>, call: Call) -> Result<Response, Error> {
    guard.change(&call.headers)?;
    let order: AcceptOrder = order(call).await?;
    answer(move || letters.accept(&order.partition, order.through)).await
}
