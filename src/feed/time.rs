//! Times as answers write them.

use edgefeed_storage::model::TimestampMs;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// RFC 3339, UTC, milliseconds: `2026-11-22T18:00:00.000Z`. Times out of jiff's range come out as its ends.
pub fn rfc3339(time: TimestampMs) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let end = if time < 0 { Timestamp::MIN } else { Timestamp::MAX };
    PRINTER.timestamp_to_string(&Timestamp::from_millisecond(time).unwrap_or(end))
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
