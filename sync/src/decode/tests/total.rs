//! No bytes make decoding fail otherwise than as a dead letter.

use edgefeed_storage::model::{DeadReason, Outcome, Topic};
use proptest::prelude::*;

use super::super::{Decode, decode};
use super::{NOW_MS, RECORD_MS, U64, UUID};

fn any_decode(topic: Topic, time_ms: i64, key: Option<&[u8]>, value: &[u8], settings: &Decode) -> Outcome {
    decode(topic, 0, time_ms, key, Some(value), settings, NOW_MS)
}

/// JSON made of the words that mean something here, nested a little.
fn loaded_json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "id",
        "user_id",
        "post_id",
        "created_at",
        "deleted_at",
        "op",
        "before",
        "after",
        "source",
        "payload",
        "schema",
        "ts_ms",
        "lsn",
        "table",
        "__op",
        "__deleted",
        "__lsn",
        "event_time",
        "event_id",
        "action",
        "dwell_ms",
        "x",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        prop::sample::select(vec![
            "\"c\"",
            "\"d\"",
            "\"t\"",
            "\"view\"",
            "\"posts\"",
            "\"{\\\"id\\\":1}\"",
            "true",
            "1",
            "1e400"
        ])
        .prop_map(str::to_owned),
        "\"[a-z0-9:TZ.+-]{0,30}\"",
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop::collection::vec((word.clone(), inner), 0..8).prop_map(|fields| {
            let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        })
    })
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), key in prop::collection::vec(any::<u8>(), 0..20), time in any::<i64>()) {
        for topic in Topic::ALL {
            any_decode(topic, time, Some(&key), &bytes, &U64);
        }
    }

    #[test]
    fn no_json_makes_decoding_fail(value in loaded_json(), key in loaded_json(), time in any::<i64>()) {
        for topic in Topic::ALL {
            for settings in [&U64, &UUID] {
                any_decode(topic, time, Some(key.as_bytes()), value.as_bytes(), settings);
            }
        }
    }

    #[test]
    fn a_dead_letter_holds_the_record_whole(value in loaded_json(), key in "[ -~]{0,20}") {
        for topic in Topic::ALL {
            if let Outcome::Dead { key: kept_key, value: kept, refusal } = any_decode(topic, RECORD_MS, Some(key.as_bytes()), value.as_bytes(), &U64) {
                prop_assert_eq!(kept_key.as_deref(), Some(key.as_bytes()));
                prop_assert_eq!(kept.as_deref(), Some(value.as_bytes()));
                prop_assert!(refusal.detail.len() < 1_000, "{}", refusal.detail);
            }
        }
    }
}

#[test]
fn nesting_of_any_depth_is_a_dead_letter_and_no_overflow() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
    for inner in [deep("[", "]"), deep(r#"{"fields":["#, "]}"), deep(r#"{"payload":"#, "}"), "[".repeat(500_000)] {
        for field in ["x", "user_id", "after", "source", "payload", "schema", "data_collections"] {
            let value = format!(r#"{{"op":"c","{field}":{inner}}}"#);
            for topic in Topic::ALL {
                let outcome = any_decode(
                    topic,
                    RECORD_MS,
                    Some(value.as_bytes()),
                    value.as_bytes(),
                    &Decode { record_max_bytes: usize::MAX, ..U64 },
                );
                assert!(matches!(outcome, Outcome::Dead { .. }), "{field} {topic:?}");
            }
        }
    }
}

#[test]
fn quoted_values_are_cut() {
    let value = format!(r#"{{"user_id":"{}","post_id":1,"action":"view","event_time":1}}"#, "é".repeat(100_000));
    let Outcome::Dead { refusal, .. } = any_decode(Topic::Events, RECORD_MS, None, value.as_bytes(), &U64) else {
        panic!()
    };
    assert_eq!(refusal.reason, DeadReason::BadId);
    assert!(refusal.detail.len() < 1_000, "{}", refusal.detail);
}
