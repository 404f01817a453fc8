//! The body of `POST /api/v1/events`, as it is read.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Required, Schema, SchemaFormat};

use crate::events::EVENTS_MAX;
use crate::feed::JsonId;

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

/// Its schema.
pub(super) fn schema() -> RefOr<Schema> {
    let events = ArrayBuilder::new().items(event()).min_items(Some(1)).max_items(Some(EVENTS_MAX));
    ObjectBuilder::new().property("events", events).required("events").into()
}

fn event() -> ObjectBuilder {
    // What may be left out may be null as well: both say nothing.
    let nothing = || ObjectBuilder::new().schema_type(Type::Null);
    let id = || Ref::from_schema_name(JsonId::name());
    let id_or_nothing = || OneOfBuilder::new().item(id()).item(nothing());
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let note = || ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Integer, Type::Null]));
    let format = |format: &str| text().format(Some(SchemaFormat::Custom(format.to_owned())));
    let actions = ["view", "impression", "like", "comment", "share", "hide"].map(Value::from);
    let time = OneOfBuilder::new()
        .item(format("date-time"))
        .item(ObjectBuilder::new().schema_type(Type::Integer))
        .item(nothing())
        .description(Some("RFC 3339 or epoch milliseconds, from 90 days ago to 5 minutes ahead; now where left out."));
    let day_ms = 86_400_000_usize;
    let dwell = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(0_usize))
        .maximum(Some(day_ms));
    ObjectBuilder::new()
        .property(
            "event_id",
            OneOfBuilder::new()
                .item(format("uuid"))
                .item(nothing())
                .description(Some("Derived where left out; events of one id count once.")),
        )
        .property("event_time", time)
        .property("user_id", id_or_nothing())
        .property("post_id", id())
        .property("author_id", id_or_nothing())
        .property("action", text().enum_values(Some(actions)))
        .property("dwell_ms", dwell)
        .property("device", note())
        .property("app_ver", note())
        .required("post_id")
        .required("action")
}
