//! The answers: what an operation gives when it is well, and the errors every operation may give.

use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Header, Ref};

use crate::http::error::ErrorBody;

fn header(kind: Type, description: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(description)).build()
}

fn answer(description: &str) -> ResponseBuilder {
    let id = header(Type::String, "Under which the node's log knows the request.");
    ResponseBuilder::new().description(description).header("X-Request-Id", id)
}

fn holding<T: ToSchema>(answer: ResponseBuilder) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name())));
    answer.content("application/json", content.build())
}

/// An answer of this type.
pub(super) fn json<T: ToSchema>(description: &str) -> ResponseBuilder {
    holding::<T>(answer(description))
}

/// The document itself.
pub(super) fn document() -> Response {
    let any = ObjectBuilder::new().schema_type(Type::Object);
    answer("The document.").content("application/json", ContentBuilder::new().schema(Some(any)).build()).build()
}

/// A feed's headers: the same as in its body, for proxies.
pub(super) fn feed_headers(answer: ResponseBuilder) -> Response {
    let staleness = "Now minus the time through which everything is applied, in milliseconds.";
    answer
        .header("X-Feed-Source", header(Type::String, "`local`, `cache` or `fallback`."))
        .header("X-Feed-Staleness-Ms", header(Type::Integer, staleness))
        .build()
}

/// What may go wrong, by status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A parameter, a cursor or the body cannot be read.
    Asked,
    /// The caller is not known.
    Caller,
    /// A scope is missing.
    Scope,
    /// Another method.
    Method,
    /// A body too large.
    Large,
    /// A body of another media type.
    Type,
    /// A target too long.
    Target,
    /// A head too large.
    Head,
    /// Too many requests.
    Often,
    /// The node cannot answer now.
    Away,
}

impl Wrong {
    /// Of every operation.
    pub(super) const ALWAYS: [Self; 7] =
        [Self::Asked, Self::Method, Self::Large, Self::Target, Self::Head, Self::Often, Self::Away];

    /// The status and its answer.
    pub(super) fn answer(self) -> (&'static str, Response) {
        let retry = |answer: ResponseBuilder| {
            answer.header("Retry-After", header(Type::Integer, "Seconds after which another try makes sense."))
        };
        let (status, description) = match self {
            Self::Asked => ("400", "A parameter, the cursor or the body cannot be read."),
            Self::Caller => ("401", "The caller is not known."),
            Self::Scope => ("403", "The caller may not do this."),
            Self::Method => ("405", "This path takes other methods."),
            Self::Large => ("413", "The body is too large."),
            Self::Type => ("415", "The body is of another media type."),
            Self::Target => ("414", "The path and query are too long."),
            Self::Head => ("431", "The header fields are too large, or too many."),
            Self::Often => ("429", "Too many requests."),
            Self::Away => ("503", "The node cannot answer now."),
        };
        let body = json::<ErrorBody>(description);
        let whole = match self {
            Self::Caller | Self::Scope => body.header("WWW-Authenticate", header(Type::String, "RFC 6750.")),
            Self::Method => body.header("Allow", header(Type::String, "The methods it takes.")),
            Self::Often | Self::Away => retry(body),
            Self::Asked | Self::Large | Self::Type | Self::Target | Self::Head => body,
        };
        (status, whole.build())
    }
}
