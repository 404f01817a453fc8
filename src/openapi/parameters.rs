//! The query parameters, with the bounds that the handlers read them by.

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::required;
use crate::feed::JsonId;
use crate::http::feed::{DEFAULT_LIMIT, MAX_CURSOR_BYTES, MAX_LIMIT};
use crate::ranking::Preset;
use crate::ranking::trending::Window;
use crate::suggest::SUGGESTED_MAX;

fn query(name: &str, must: bool, schema: impl Into<RefOr<Schema>>, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(required(must))
        .schema(Some(schema))
        .description(Some(description))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn id() -> Ref {
    Ref::from_schema_name(JsonId::name())
}

/// One of these words.
fn words<'w>(words: impl IntoIterator<Item = &'w str>, default: Option<&str>) -> ObjectBuilder {
    text().enum_values(Some(words.into_iter().map(Value::from))).default(default.map(Value::from))
}

fn flag(name: &str, description: &str) -> Parameter {
    query(name, false, words(["0", "1"], Some("0")), description)
}

fn limit(max: usize, what: &str) -> Parameter {
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1_usize))
        .maximum(Some(max))
        .default(Some(json!(DEFAULT_LIMIT)));
    query("limit", false, number, &format!("How many {what} at most."))
}

fn cursor() -> Parameter {
    let sealed = text().max_length(Some(MAX_CURSOR_BYTES));
    query(
        "cursor",
        false,
        sealed,
        "The `cursor` of the page before; without it, or empty, the first page. It goes on with its own chain: \
         in its order, by its preset, whatever else is asked for.",
    )
}

fn preset() -> Parameter {
    let presets = words(Preset::ALL.map(Preset::name), Some(Preset::Balanced.name()));
    query("preset", false, presets, "By which numbers posts are ranked.")
}

/// Of `GET /api/v1/feed`.
pub(super) fn feed() -> Vec<Parameter> {
    vec![
        limit(MAX_LIMIT, "posts"),
        cursor(),
        query(
            "algo",
            false,
            words(["ranked", "time"], Some("ranked")),
            "`ranked` by score; `time`: followed authors' posts, newest first.",
        ),
        preset(),
        flag("explain", "`1`: each post carries its features and weights."),
        flag("refresh", "`1`: posts served to this user in the last 30 minutes stand after all others."),
        query(
            "min_position",
            false,
            text(),
            "The `position` that posting events gave: waited for, two seconds at most, until its events are in the page.",
        ),
        user(),
    ]
}

/// Of `GET /api/v1/feed/explain`.
pub(super) fn explain() -> Vec<Parameter> {
    vec![query("post_id", true, id(), "Which post."), preset(), user()]
}

fn user() -> Parameter {
    query("user", false, id(), "Whose feed, if not the caller's own; needs the scope `feed:any`.")
}

/// Of `POST /api/v1/feed/invalidate`.
pub(super) fn invalidate() -> Vec<Parameter> {
    vec![user()]
}

/// Of `GET /api/v1/feed/trending`.
pub(super) fn trending() -> Vec<Parameter> {
    let window = words(Window::ALL.map(Window::name), Some(Window::Day.name()));
    vec![query("window", false, window, "How far back events count."), limit(MAX_LIMIT, "posts"), cursor()]
}

/// Of `GET /api/v1/discover/suggested-users`.
pub(super) fn suggested() -> Vec<Parameter> {
    vec![limit(SUGGESTED_MAX, "users")]
}
