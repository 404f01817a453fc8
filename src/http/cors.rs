//! Which other sites' pages may read answers in a browser (CORS).

use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::request_id;
use crate::problem::Problem;

/// How long a browser may remember what a preflight said.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The layer for these origins; none for none. Checked origins only.
pub(super) fn layer(origins: &[String]) -> Option<CorsLayer> {
    let origin = match origins {
        [] => return None,
        [any] if any == "*" => AllowOrigin::from(Any),
        listed => AllowOrigin::list(listed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let exposed = ["x-feed-source", "x-feed-staleness-ms"].map(HeaderName::from_static);
    // Callers prove themselves by a token that a script adds, never by what a browser adds on its own: no credentials.
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, request_id::HEADER])
        .expose_headers(exposed.into_iter().chain([request_id::HEADER, RETRY_AFTER]).collect::<Vec<_>>())
        .max_age(PREFLIGHT_MAX_AGE);
    Some(layer)
}

/// Whether a browser asks on behalf of a page: only then the layer has anything to say.
pub(super) fn concerns(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
}

/// Notes what is no origin: a browser compares them byte by byte.
pub(super) fn check(origins: &[String], problems: &mut Vec<Problem>) {
    let mend = r#"give origins as browsers send them, such as "https://app.example" (no path, no slash), or "*" alone"#;
    for origin in origins {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        let plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*,".contains(&byte));
        let plain = plain && !host.bytes().any(|byte| byte.is_ascii_uppercase());
        if !plain && (origin != "*" || origins.len() > 1) {
            problems.push(Problem::new("http.cors_origins", format!("{origin:?} is no origin"), mend));
        }
    }
}
