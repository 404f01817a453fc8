use edgefeed_storage::model::{Cdc, Change, DeadReason, Topic, Version, VersionKind};

use super::super::{MAX_AHEAD_MS, decode};
use super::{NOW_MS, OFFSET, Outcome, RECORD_MS, U64, read, reason};

fn user(text: &str) -> Cdc {
    match read(Topic::Users, None, text, &U64) {
        Ok(Change::Cdc(cdc)) => cdc,
        other => panic!("{text} was read as {other:?}"),
    }
}

fn envelope(source: &str, rest: &str) -> String {
    format!(r#"{{"op":"c","after":{{"id":1}},"source":{source}{rest}}}"#)
}

#[test]
fn the_log_position_is_the_version_where_there_is_one() {
    for value in [
        envelope(r#"{"lsn":5000,"ts_ms":1795374221000}"#, ""),
        envelope(r#"{"lsn":"5000","ts_ms":1795374221000}"#, r#","ts_ms":1795374221999"#),
        r#"{"id":1,"__lsn":5000,"__source_ts_ms":1795374221000,"__ts_ms":9}"#.to_owned(),
        r#"{"id":1,"__source_lsn":"5000","__source_ts_ms":1795374221000}"#.to_owned(),
    ] {
        let cdc = user(&value);
        assert_eq!(cdc.version, Version::from_lsn(3, 5000), "{value}");
        assert_eq!(cdc.commit_time, 1_795_374_221_000, "{value}");
    }
}

#[test]
fn a_row_of_an_incremental_snapshot_has_its_position_in_the_sequence() {
    for (value, lsn) in [
        (envelope(r#"{"lsn":null,"sequence":"[\"41\",\"42\"]"}"#, ""), 42),
        (envelope(r#"{"lsn":40,"sequence":"[null,\"42\"]"}"#, ""), 40),
        (r#"{"id":1,"__lsn":null,"__source_sequence":"[\"41\",\"42\"]"}"#.to_owned(), 42),
    ] {
        assert_eq!(user(&value).version, Version::from_lsn(3, lsn), "{value}");
    }
    for sequence in [r#""[]""#, r#""[\"41\",null]""#, r#""x""#, "7", "null"] {
        let value = envelope(&format!(r#"{{"lsn":null,"sequence":{sequence}}}"#), "");
        assert_eq!(user(&value).version.kind, VersionKind::Time, "{value}");
    }
}

#[test]
fn without_one_the_most_trusted_time_and_the_offset_are() {
    for (value, time) in [
        (envelope(r#"{"lsn":null,"ts_ms":1795374221000}"#, r#","ts_ms":1795374221050"#), 1_795_374_221_000),
        (envelope("null", r#","ts_ms":1795374221050"#), 1_795_374_221_050),
        (envelope(r#"{"ts_ms":0}"#, r#","ts_ms":1795374221050"#), 1_795_374_221_050),
        (envelope("null", ""), RECORD_MS),
        (r#"{"id":1,"__ts_ms":1795374221050}"#.to_owned(), 1_795_374_221_050),
        (r#"{"id":1}"#.to_owned(), RECORD_MS),
    ] {
        let cdc = user(&value);
        assert_eq!(cdc.version, Version::from_time(3, time, OFFSET), "{value}");
        assert_eq!(cdc.version.kind, VersionKind::Time);
        assert_eq!(cdc.commit_time, time);
    }
}

#[test]
fn a_time_from_the_future_never_becomes_a_version() {
    let at = |time: i64| envelope("null", &format!(r#","ts_ms":{time}"#));
    let edge = RECORD_MS + MAX_AHEAD_MS;
    assert_eq!(user(&at(edge)).version, Version::from_time(3, edge, OFFSET));
    for time in [edge + 1, 4_070_908_800_000, i64::MAX] {
        assert_eq!(reason(Topic::Users, &at(time), &U64), DeadReason::TimeOutOfRange, "{time}");
    }
}

#[test]
fn a_record_stamped_ahead_of_this_node_is_held_to_its_clock() {
    let ahead = NOW_MS + 86_400_000;
    let value = envelope("null", &format!(r#","ts_ms":{ahead}"#));
    let outcome = decode(Topic::Users, 1, ahead, None, Some(value.as_bytes()), &U64, NOW_MS);
    let Outcome::Dead { refusal, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(refusal.reason, DeadReason::TimeOutOfRange);
}

#[test]
fn a_log_position_decides_whatever_its_clock_says() {
    let cdc = user(&envelope(r#"{"lsn":7,"ts_ms":4070908800000}"#, ""));
    assert_eq!(cdc.version, Version::from_lsn(3, 7));
    assert_eq!(cdc.commit_time, RECORD_MS + MAX_AHEAD_MS);
}

#[test]
fn an_unreadable_position_or_time_is_a_bad_value() {
    for value in [
        envelope(r#"{"lsn":-1}"#, ""),
        envelope(r#"{"lsn":"0/16B3748"}"#, ""),
        envelope(r#"{"ts_ms":"noon"}"#, ""),
        envelope(r#"{"ts_ms":{}}"#, ""),
    ] {
        assert_eq!(reason(Topic::Users, &value, &U64), DeadReason::BadValue, "{value}");
    }
}
