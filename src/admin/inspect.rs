//! `/admin/inspect/…`: what the node holds of a user, a post, an author, and of itself.

use std::sync::Arc;

use warp::path;
use warp::reply::Response;

use super::guard::Guard;
use super::handler::{answer, bound};
use crate::clock::now_ms;
use crate::http::Error;
use crate::http::query::Query;
use crate::http::resource::{Call, Route, Takes, resource};
use crate::inspect::{Inspector, LIST_DEFAULT, LIST_MAX};

/// The routes of this resource.
pub(super) fn routes(guard: &Arc<Guard>, inspector: &Arc<Inspector>) -> [Route; 5] {
    let at = (guard, inspector);
    [
        resource(path!("admin" / "inspect" / "user"), "/admin/inspect/user", Takes::Get, bound(at.0, at.1, user)),
        resource(path!("admin" / "inspect" / "post"), "/admin/inspect/post", Takes::Get, bound(at.0, at.1, post)),
        resource(path!("admin" / "inspect" / "author"), "/admin/inspect/author", Takes::Get, bound(at.0, at.1, author)),
        resource(
            path!("admin" / "inspect" / "offsets"),
            "/admin/inspect/offsets",
            Takes::Get,
            bound(at.0, at.1, offsets),
        ),
        resource(path!("admin" / "inspect" / "store"), "/admin/inspect/store", Takes::Get, bound(at.0, at.1, store)),
    ]
}

/// `id`, and `limit` of each list.
fn asked(call: &Call) -> Result<(String, usize), Error> {
    let query = Query::parse(&call.query)?;
    let id = query.get("id")?.ok_or_else(|| Error::BadParameter("id must be given".to_owned()))?.to_owned();
    Ok((id, query.number("limit", 0, LIST_MAX, LIST_DEFAULT)?))
}

async fn user(guard: Arc<Guard>, inspector: Arc<Inspector>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    let (id, most) = asked(&call)?;
    answer(move || inspector.user(&id, most, now_ms())).await
}

async fn post(guard: Arc<Guard>, inspector: Arc<Inspector>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    let (id, _) = asked(&call)?;
    answer(move || inspector.post(&id)).await
}

async fn author(guard: Arc<Guard>, inspector: Arc<Inspector>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    let (id, most) = asked(&call)?;
    answer(move || inspector.author(&id, most, now_ms())).await
}

async fn offsets(guard: Arc<Guard>, inspector: Arc<Inspector>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    answer(move || inspector.offsets()).await
}

async fn store(guard: Arc<Guard>, inspector: Arc<Inspector>, call: Call) -> Result<Response, Error> {
    guard.read(&call.headers)?;
    answer(move || inspector.store()).await
}
