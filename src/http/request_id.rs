//! The id that ties an answer to the log lines about it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::{HeaderMap, HeaderName, HeaderValue};

/// Where the id stands, in requests from a proxy and in every answer.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id taken over from a proxy.
const MAX_BYTES: usize = 64;

/// Tells the ids of one process from those of another.
static PROCESS: LazyLock<String> = LazyLock::new(|| uuid::Uuid::new_v4().simple().to_string().split_off(20));
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The id of one request.
#[derive(Clone, Debug)]
pub(super) struct RequestId(String);

impl RequestId {
    /// An id never given out before.
    pub(super) fn fresh() -> Self {
        Self(format!("{}-{:x}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The id a proxy gave the request, if it is one that can stand in a log line, else a fresh one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        headers
            .get(HEADER)
            .and_then(|value| value.to_str().ok())
            .filter(|id| (1..=MAX_BYTES).contains(&id.len()) && id.bytes().all(plain))
            .map_or_else(Self::fresh, |id| Self(id.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header(&self) -> HeaderValue {
        // Made of characters a header may hold.
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}
