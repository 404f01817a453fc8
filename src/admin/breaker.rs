//! `/admin/breaker`: what each breaker lets through, and an operator's word over their heads.

use std::sync::Arc;

use ::http::Method;
use edgefeed_sync::breaker::{Breaker, Forced};
use serde::Deserialize;
use serde_json::{Map, Value};
use warp::reply::Response;

use super::guard::Guard;
use crate::http::body;
use crate::http::resource::Call;
use crate::http::{Error, resource};

/// The largest order, in bytes.
const MAX_BODY_BYTES: usize = 1_024;

/// The breakers of a node, each around one dependency it has.
pub type Breakers = Arc<[Arc<Breaker>]>;

/// An order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    dependency: String,
    force: Word,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Open,
    Closed,
    None,
}

/// GET tells; POST `{"dependency": "clickhouse", "force": "open"}` orders, and tells what that made of it.
pub(super) async fn answer(guard: &Guard, breakers: &Breakers, call: Call) -> Result<Response, Error> {
    if call.method != Method::POST {
        guard.read(&call.headers)?;
        return resource::json(&snapshot(breakers));
    }
    guard.change(&call.headers)?;
    let order = body::read(call.body, MAX_BODY_BYTES).await?;
    let order: Order = serde_json::from_slice(&order).map_err(|error| Error::BadRequest(error.to_string().into()))?;
    let breaker = breakers.iter().find(|breaker| breaker.name() == order.dependency).ok_or_else(|| {
        let known: Vec<_> = breakers.iter().map(|breaker| breaker.name()).collect();
        Error::BadRequest(format!("this node's dependencies are: {}", known.join(", ")).into())
    })?;
    breaker.force(match order.force {
        Word::Open => Forced::Open,
        Word::Closed => Forced::Closed,
        Word::None => Forced::None,
    });
    resource::json(&snapshot(breakers))
}

/// Every breaker's account of itself, by dependency.
pub fn snapshot(breakers: &Breakers) -> Value {
    let all: Map<_, _> = breakers.iter().map(|breaker| (breaker.name().to_owned(), breaker.snapshot())).collect();
    Value::Object(all)
}
