//! How ids stand in JSON: a deployment has one kind, and the document says which.

use std::borrow::Cow;

use edgefeed_storage::model::IdKind;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
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
            .description(Some("A user or a post; up to 64 bits, more than a double holds. Never written with a fraction or an exponent.")),
    };
    object.build().into()
}

/// An id as it is read from a body: as answers write it, and a number also as text, for those whose numbers are doubles.
pub(super) fn written(ids: IdKind) -> OneOfBuilder {
    let id = OneOfBuilder::new().item(Ref::from_schema_name(JsonId::name()));
    match ids {
        IdKind::Uuid => id,
        IdKind::U64 => id.item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(up_to(u64::MAX)))),
    }
}

/// The texts of the numbers up to this one, zeros before them or not.
fn up_to(most: u64) -> String {
    let most = most.to_string();
    let digits = most.len();
    let below = most.char_indices().filter(|(_, digit)| *digit != '0').map(|(at, digit)| {
        let (same, less) = (&most[..at], u32::from(digit).saturating_sub(1));
        format!("{same}[0-{}][0-9]{{{}}}", char::from_u32(less).unwrap_or('0'), digits - at - 1)
    });
    let shorter = format!("[0-9]{{1,{}}}", digits - 1);
    let all: Vec<String> = std::iter::once(shorter).chain(below).chain([most.clone()]).collect();
    format!("^0*({})$", all.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_numbers_up_to_one_takes_no_other() {
        assert_eq!(up_to(250), "^0*([0-9]{1,2}|[0-1][0-9]{2}|2[0-4][0-9]{1}|250)$");
        assert!(up_to(u64::MAX).ends_with("|1844674407370955161[0-4][0-9]{0}|18446744073709551615)$"));
    }
}
