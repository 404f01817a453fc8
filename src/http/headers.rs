//! The fields every answer carries.

use ::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, Entry, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::request_id::{self, RequestId};

/// Nothing that is answered is a page, unless its handler says so.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
/// A browser that came by TLS once comes by TLS for a year.
const ONLY_TLS: &str = "max-age=31536000";

/// Adds them; what a handler said about caching and content stays.
pub(super) fn add_common(headers: &mut HeaderMap, id: &RequestId, tls: bool) {
    headers.insert(request_id::HEADER, id.header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    or_insert(headers, CONTENT_SECURITY_POLICY, NO_PAGE);
    or_insert(headers, CACHE_CONTROL, "no-store");
    if tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONLY_TLS));
    }
}

fn or_insert(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if let Entry::Vacant(place) = headers.entry(name) {
        place.insert(HeaderValue::from_static(value));
    }
}
