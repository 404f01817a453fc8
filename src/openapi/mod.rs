//! The OpenAPI 3.1 document of the public listener, made of the types that answers are made of.
//!
//! `operations` is the counterpart of `http/router`: a test holds the two together, route by route.

mod answers;
mod events;
mod id;
mod operations;
mod parameters;

#[cfg(test)]
mod tests;

use edgefeed_storage::model::IdKind;
use utoipa::ToSchema;
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Required};
use utoipa::openapi::{PathItem, RefOr, Schema, SecurityRequirement};

use crate::events::Answer;
use crate::feed::{Explanation, FeedPage, JsonId};
use crate::http::error::ErrorBody;
use crate::http::feed::Invalidated;
use crate::suggest::SuggestedUsers;
use crate::trending::TrendingPage;

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The document of a deployment with this kind of ids.
pub fn document(ids: IdKind) -> OpenApi {
    let mut paths = PathsBuilder::new();
    for described in operations::all() {
        paths = paths.path(described.path, PathItem::new(described.method, described.operation));
    }
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("edgefeed")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Personalised feeds, ranked where the readers are."))
        .license(Some(license));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("`sub` is the user. Acting for another needs the scope `feed:any` or `events:any`."));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(whole::<FeedPage>())
        .schemas_from_iter(whole::<Explanation>())
        .schemas_from_iter(whole::<Answer>())
        .schema(events::NAME, events::schema(ids))
        .schemas_from_iter(whole::<TrendingPage>())
        .schemas_from_iter(whole::<SuggestedUsers>())
        .schemas_from_iter(whole::<Invalidated>())
        .schemas_from_iter(whole::<ErrorBody>())
        // Last: the kind of ids is the deployment's, not the type's.
        .schema(JsonId::name(), id::schema(ids))
        .security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new(BEARER, Vec::<String>::new())]))
        .build()
}

/// The same as JSON.
pub fn text(ids: IdKind) -> String {
    document(ids).to_pretty_json().unwrap_or_else(|error| {
        // It is made of constants and serialises, or a test fails.
        tracing::error!(%error, "the OpenAPI document does not serialise");
        "{}".to_owned()
    })
}

/// A type's schema, and those of all it is made of.
fn whole<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

const fn required(is: bool) -> Required {
    if is { Required::True } else { Required::False }
}
