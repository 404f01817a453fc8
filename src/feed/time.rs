//! Times as answers write them.

use std::fmt;

use edgefeed_storage::model::TimestampMs;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// RFC 3339, UTC, milliseconds: `2026-11-22T18:00:00.000Z`. Times out of jiff's range come out as its ends.
pub fn rfc3339(time: TimestampMs) -> String {
    JsonTime(time).to_string()
}

/// A time as JSON. It becomes text where it is written: a page has a score of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonTime(pub TimestampMs);

impl fmt::Display for JsonTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        write!(f, "{:.3}", Timestamp::from_millisecond(self.0).unwrap_or(end))
    }
}

impl Serialize for JsonTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_376_817_860), "2026-11-22T19:46:57.860Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert!(rfc3339(i64::MAX).starts_with("9999-"));
        assert!(rfc3339(-1).starts_with("1969-12-31T23:59:59.999"));
    }
}
