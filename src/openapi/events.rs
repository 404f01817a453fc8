//! The body of `POST /api/v1/events`, as it is read.

use edgefeed_storage::model::IdKind;
use edgefeed_sync::decode::MAX_DWELL_MS;
use serde_json::Value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Required, Schema, SchemaFormat};

use super::id;
use crate::events::EVENTS_MAX;

/// The schema's name.
pub(super) const NAME: &str = "PostedEvents";

/// What a request holds.
pub(super) fn body() -> RequestBody {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(NAME)));
    RequestBodyBuilder::new()
        .description(Some("Each event is judged by itself: a bad one is named in the answer, the others are taken."))
        .required(Some(Required::True))
        .content("application/json", content.build())
        .build()
}

/// Its schema, in a deployment with this kind of ids.
pub(super) fn schema(ids: IdKind) -> RefOr<Schema> {
    let events = ArrayBuilder::new().items(event(ids)).min_items(Some(1)).max_items(Some(EVENTS_MAX));
    ObjectBuilder::new().property("events", events).required("events").into()
}

fn event(ids: IdKind) -> ObjectBuilder {
    // What may be left out may be null as well: both say nothing.
    let id = || id::written(ids);
    let id_or_nothing = || id::written(ids).item(nothing());
    let actions = ["view", "impression", "like", "comment", "share", "hide"].map(Value::from);
    let event_id = OneOfBuilder::new()
        .item(text("uuid"))
        .item(nothing())
        .description(Some("Derived where left out; events of one id count once."));
    ObjectBuilder::new()
        .property("event_id", event_id)
        .property("event_time", time())
        .property("user_id", id_or_nothing().description(Some("Who did it; the caller where left out.")))
        .property("post_id", id())
        .property("author_id", id_or_nothing().description(Some("Who wrote the post; filled in where left out.")))
        .property("action", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(actions)))
        .property("dwell_ms", dwell())
        .property("device", note())
        .property("app_ver", note())
        .required("post_id")
        .required("action")
}

fn nothing() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

fn text(format: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom(format.to_owned())))
}

fn time() -> OneOfBuilder {
    // To the year 9999. No bound that is fixed says more.
    let millis =
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64)).maximum(Some(253_402_300_799_999_u64));
    OneOfBuilder::new()
        .item(text("date-time"))
        .item(millis)
        .item(nothing())
        .description(Some("RFC 3339 or epoch milliseconds, from 90 days ago to 5 minutes ahead; now where left out."))
}

fn dwell() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Number, Type::Null]))
        .minimum(Some(0_u32))
        .maximum(Some(MAX_DWELL_MS))
        .description(Some("How long the reader stayed; a fraction of a millisecond is dropped."))
}

fn note() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(
        "Kept at the center: a text, cut after 128 bytes, or a whole number. Anything else is as if left out.",
    ))
}
