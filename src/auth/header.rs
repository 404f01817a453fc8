//! Credentials in headers.

use ::http::HeaderMap;
use ::http::header::AUTHORIZATION;

use super::Denied;

/// The token of `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    if !headers.contains_key(AUTHORIZATION) {
        return Err(Denied::Missing);
    }
    let value = single(headers, AUTHORIZATION.as_str()).ok_or(Denied::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(Denied::Malformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Denied::Malformed);
    }
    Ok(token)
}

/// The value of a header that stands exactly once: two of a kind mean that somebody on the way reads another one.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}
