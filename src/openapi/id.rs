//! How ids stand in JSON: a deployment has one kind, and the document says which.

use std::borrow::Cow;

use edgefeed_storage::model::IdKind;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::feed::JsonId;

impl PartialSchema for JsonId {
    fn schema() -> RefOr<Schema> {
        schema(IdKind::Uuid).into()
    }
}

impl ToSchema for JsonId {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Id")
    }
}

/// An id of this kind.
pub(super) fn schema(ids: IdKind) -> Schema {
    let object = match ids {
        IdKind::Uuid => ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uuid".to_owned())))
            .description(Some("A user or a post.")),
        IdKind::U64 => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0_u64))
            .maximum(Some(u64::MAX))
            .description(Some("A user or a post; up to 64 bits, more than a double holds.")),
    };
    object.build().into()
}
