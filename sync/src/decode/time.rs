//! Times as they stand in records: ISO strings, or integers whose unit is named by a schema or told by their size.

use edgefeed_storage::model::{DAY_MS, DeadReason, Refusal, TimestampMs};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::refuse::refuse;
use super::scalar::Scalar;

/// The unit of an integer time, as a Kafka Connect schema names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Days,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// The unit behind the semantic type name of a schema field; `None` for names that fix no unit.
    pub(super) fn of_schema(name: &str) -> Option<Self> {
        match name {
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Some(Self::Days),
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => Some(Self::Millis),
            "io.debezium.time.MicroTimestamp" => Some(Self::Micros),
            "io.debezium.time.NanoTimestamp" => Some(Self::Nanos),
            _ => None,
        }
    }

    /// The unit told by the size alone: below 10^14 milliseconds (until the year 5138), below 10^18 microseconds
    /// (from 1973-03-03), else nanoseconds (from 2001-09-09). An older time in nanoseconds comes out in the far future
    /// and is refused, which can be seen, where a lower border would take far times for near ones.
    pub(super) fn of_magnitude(value: i64) -> Self {
        match value.unsigned_abs() {
            0..100_000_000_000_000 => Self::Millis,
            100_000_000_000_000..1_000_000_000_000_000_000 => Self::Micros,
            _ => Self::Nanos,
        }
    }

    fn to_millis(self, value: i64) -> Option<i64> {
        match self {
            Self::Days => value.checked_mul(DAY_MS),
            Self::Millis => Some(value),
            Self::Micros => Some(value.div_euclid(1_000)),
            Self::Nanos => Some(value.div_euclid(1_000_000)),
        }
    }
}

/// Years 0001 to 9999, in UTC milliseconds: what PostgreSQL and JSON dates can both mean.
const PLAUSIBLE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// PostgreSQL's `infinity` and `-infinity`, as Debezium writes them: the ends of int64, and in older versions the
/// driver's ends in micro- and in milliseconds.
const INFINITIES: [i64; 6] = [
    i64::MAX,
    i64::MIN,
    9_223_372_036_825_200_000,
    -9_223_372_036_832_400_000,
    9_223_372_036_825_200,
    -9_223_372_036_832_400,
];

/// Reads the time of a column. `unit` is the schema's word, where there is one.
///
/// PostgreSQL's infinities are refused: no post can be ranked by them.
pub(super) fn column_time(value: &Scalar<'_>, unit: Option<Unit>, field: &str) -> Result<TimestampMs, Refusal> {
    let millis = match value.integer() {
        Some(number) if INFINITIES.contains(&number) => None,
        Some(number) => unit.unwrap_or_else(|| Unit::of_magnitude(number)).to_millis(number),
        None => value.text().and_then(iso_or_utc),
    };
    match millis.filter(|millis| PLAUSIBLE_MS.contains(millis)) {
        Some(millis) => Ok(millis),
        None => refuse(DeadReason::BadValue, || format!("`{field}` is {value}, not a time")),
    }
}

/// Reads an instant in RFC 3339; the zone is required.
pub(super) fn iso(text: &str) -> Option<TimestampMs> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Whether a text has the form that RFC 3339 gives an instant; [`iso`] reads more.
pub(super) fn is_rfc3339(text: &str) -> bool {
    let Some((moment, rest)) = text.as_bytes().split_at_checked(19) else { return false };
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => match fraction.iter().position(|byte| !byte.is_ascii_digit()) {
            Some(end @ 1..) => &fraction[end..],
            _ => return false,
        },
        None => rest,
    };
    let zones = [b"Z".as_slice(), b"+00:00", b"-00:00"];
    has_form(moment, b"0000-00-00T00:00:00") && zones.iter().any(|form| has_form(zone, form))
}

/// Whether a text is a form's, in which each 0 stands for a digit.
fn has_form(text: &[u8], form: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte.eq_ignore_ascii_case(form),
    };
    text.len() == form.len() && text.iter().zip(form).all(fits)
}

/// Reads an instant as [`iso`] does, or a date and time without a zone as UTC, which is how Debezium reads
/// PostgreSQL's `timestamp`.
fn iso_or_utc(text: &str) -> Option<TimestampMs> {
    iso(text).or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const MS: i64 = 1_795_376_817_860;

    fn read(value: Scalar<'_>, unit: Option<Unit>) -> Option<i64> {
        column_time(&value, unit, "created_at").ok()
    }

    #[test]
    fn one_instant_reads_the_same_in_every_unit() {
        let micros = Scalar::Uint(1_795_376_817_860_123);
        assert_eq!(read(Scalar::Uint(1_795_376_817_860), None), Some(MS));
        assert_eq!(read(micros.clone(), None), Some(MS));
        assert_eq!(read(micros, Some(Unit::Micros)), Some(MS));
        assert_eq!(read(Scalar::Uint(1_795_376_817_860_123_999), None), Some(MS));
        assert_eq!(read(Scalar::Text(Cow::Borrowed("1795376817860")), None), Some(MS));
        for text in [
            "2026-11-22T19:46:57.860Z",
            "2026-11-22T19:46:57.860123Z",
            "2026-11-22T20:46:57.860+01:00",
            "2026-11-22 19:46:57.86+00",
            "2026-11-22 19:46:57.86",
        ] {
            assert_eq!(read(Scalar::Text(Cow::Borrowed(text)), None), Some(MS), "{text}");
        }
    }

    #[test]
    fn a_schema_outweighs_the_size_of_a_number() {
        assert_eq!(read(Scalar::Uint(86_400_000_000), Some(Unit::Micros)), Some(86_400_000));
        assert_eq!(read(Scalar::Uint(86_400_000_000), None), Some(86_400_000_000));
        assert_eq!(read(Scalar::Uint(20_000), Some(Unit::Days)), Some(20_000 * DAY_MS));
        assert_eq!(read(Scalar::Int(-1), Some(Unit::Micros)), Some(-1));
    }

    #[test]
    fn the_form_of_rfc_3339_has_date_seconds_and_zone() {
        let right = ["T19:46:57Z", "t19:46:57.8z", "T19:46:57.860123456Z", "T20:46:57.860+01:00", "T19:46:57-00:00"];
        for text in right.map(|rest| format!("2026-11-22{rest}")) {
            assert!(is_rfc3339(&text) && iso(&text).is_some(), "{text}");
        }
        let wrong =
            ["", "T19:46Z", "T19:46:57", "T19:46:57.Z", " 19:46:57Z", "T19:46:57+01", "T19:46:57.8", "T19:46:57Z[UTC]"];
        for text in wrong.map(|rest| format!("2026-11-22{rest}")) {
            assert!(!is_rfc3339(&text), "{text}");
        }
        for text in ["1795376817860", "20261122T194657Z", "+002026-11-22T19:46:57Z"] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }

    #[test]
    fn an_infinite_time_is_refused() {
        for number in INFINITIES {
            let value = u64::try_from(number).map_or(Scalar::Int(number), Scalar::Uint);
            for unit in [None, Some(Unit::Millis), Some(Unit::Micros)] {
                assert_eq!(read(value.clone(), unit), None, "{number} {unit:?}");
            }
        }
        assert_eq!(read(Scalar::Text(Cow::Borrowed("infinity")), None), None);
        assert_eq!(read(Scalar::Text(Cow::Borrowed("+12026-01-01T00:00:00.000000Z")), None), None);
        assert_eq!(read(Scalar::Uint(317_336_745_600_000_000), None), None, "the year 12026 in microseconds");
    }
}
