//! Times as answers write them.

use edgefeed_storage::model::TimestampMs;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// RFC 3339, UTC, milliseconds: `2026-11-22T18:00:00.000Z`. Times out of jiff's range come out as its ends.
pub fn rfc3339(time: TimestampMs) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    if let Some(text) = four_digits(time) {
        return text;
    }
    let end = if time < 0 { Timestamp::MIN } else { Timestamp::MAX };
    PRINTER.timestamp_to_string(&Timestamp::from_millisecond(time).unwrap_or(end))
}

/// The same for the years 1970 to 9999, in which posts are written: a page has a time for each of them.
fn four_digits(time: TimestampMs) -> Option<String> {
    const END: TimestampMs = 253_402_300_800_000;
    let time = u64::try_from(time).ok().filter(|_| time < END)?;
    let (day, ms) = (time / 86_400_000, time % 86_400_000);
    // Years that begin in March, in eras of 400 of them: leap days come last then. Day 0 lies 719,468 days after an era's
    // beginning, year 0.
    let (era, of_era) = ((day + 719_468) / 146_097, (day + 719_468) % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (400 * era + year + month / 10, (month + 2) % 12 + 1);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let fields = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, of_month),
        (11, 2, ms / 3_600_000),
        (14, 2, ms / 60_000 % 60),
        (17, 2, ms / 1_000 % 60),
        (20, 3, ms % 1_000),
    ];
    for (at, digits, mut value) in fields {
        for digit in text[at..at + digits].iter_mut().rev() {
            *digit += (value % 10) as u8;
            value /= 10;
        }
    }
    std::str::from_utf8(&text).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_376_817_860), "2026-11-22T19:46:57.860Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert!(rfc3339(i64::MAX).starts_with("9999-"));
        assert!(rfc3339(-1).starts_with("1969-12-31T23:59:59.999"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn the_short_way_writes_what_the_library_writes(
            time in prop_oneof![0..253_402_207_200_000_i64, (0..2_932_000_i64, -2..2_i64).prop_map(|(day, ms)| day * 86_400_000 + ms)],
        ) {
            const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
            prop_assert_eq!(rfc3339(time), PRINTER.timestamp_to_string(&Timestamp::from_millisecond(time).unwrap()));
        }
    }
}
