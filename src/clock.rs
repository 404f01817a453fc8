//! The wall clock, read at the rim only: everything below takes `now_ms` as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use edgefeed_storage::model::TimestampMs;

/// Now, in UTC milliseconds.
pub fn now_ms() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since.as_millis()).unwrap_or(TimestampMs::MAX)
}
