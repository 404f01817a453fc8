use edgefeed_storage::model::{Cdc, Change, DeadReason, Field, Id, Row, RowChange, RowKey, Topic, Version};

use super::{U64, UUID, read, reason, uuid};

const P: &str = "00000000-0000-4000-8000-00000000000a";
const A: &str = "00000000-0000-4000-8000-00000000000b";
const CREATED_MS: i64 = 1_795_373_021_120;
/// `CREATED_MS` as `timestamptz` and as `timestamp`.
const CREATED: &str = "2026-11-22T18:43:41.120456Z";
const CREATED_US: &str = "1795373021120456";

const SOURCE: &str = r#"{"version":"3.6.3","connector":"postgresql","name":"cdc","ts_ms":1795374221000,"snapshot":"false",
    "db":"app","sequence":"[\"1\",\"2\"]","schema":"public","table":"posts","txId":7,"lsn":26891032,"xmin":null}"#;

fn post(text: &str) -> RowChange {
    changed(Topic::Posts, None, text).change
}

fn changed(topic: Topic, key: Option<&str>, text: &str) -> Cdc {
    match read(topic, key, text, &UUID) {
        Ok(Change::Cdc(cdc)) => cdc,
        other => panic!("{text} was read as {other:?}"),
    }
}

fn row() -> RowChange {
    RowChange::Upsert(Row::Post {
        id: uuid(P),
        author: Field::Known(uuid(A)),
        created_at: Field::Known(CREATED_MS),
        deleted: Field::Known(false),
    })
}

fn after(created: &str) -> String {
    format!(r#"{{"id":"{P}","user_id":"{A}","body":"x\"y","tags":["a"],"created_at":{created}}}"#)
}

fn envelope(op: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{SOURCE},"op":"{op}","ts_ms":1795374221050,"transaction":null}}"#
    )
}

/// The JSON converter's schema of an envelope whose `created_at` has a semantic type.
fn schema(semantic: &str) -> String {
    let row = |field: &str| {
        format!(
            r#"{{"type":"struct","fields":[{{"type":"string","optional":false,"name":"io.debezium.data.Uuid","version":1,"field":"id"}},
            {{"type":"int64","optional":false,"name":"{semantic}","version":1,"field":"created_at"}}],"optional":true,"field":"{field}"}}"#
        )
    };
    format!(
        r#"{{"type":"struct","fields":[{},{},{{"type":"int64","field":"ts_ms"}}],"optional":false,"name":"cdc.Envelope"}}"#,
        row("before"),
        row("after")
    )
}

fn wrapped(payload: &str) -> String {
    format!(r#"{{"schema":{},"payload":{payload}}}"#, schema("io.debezium.time.MicroTimestamp"))
}

#[test]
fn every_shape_of_an_upsert_says_the_same() {
    let flat = |extra: &str| after(&format!("\"{CREATED}\"")).replacen('}', &format!("{extra}}}"), 1);
    let quoted = serde_json::to_string(&after(&format!("\"{CREATED}\""))).unwrap();
    let plain = envelope("c", "null", &after(&format!("\"{CREATED}\"")));
    let micros = envelope("r", "null", &after(CREATED_US));
    let shapes = [
        plain.clone(),
        micros.clone(),
        wrapped(&plain),
        wrapped(&micros),
        format!(r#"{{"schema":null,"payload":{plain}}}"#),
        format!(r#"{{"payload":{plain}}}"#),
        format!(r#"{{"payload":{}}}"#, serde_json::to_string(&plain).unwrap()),
        envelope("u", &after("0"), &after(CREATED_US)),
        envelope("c", "null", &quoted),
        flat(r#","__deleted":"false","__op":"u","__lsn":26891032,"__source_ts_ms":1795374221000,"__table":"posts""#),
        flat(r#","__deleted":false"#),
        flat(""),
        format!(r#"{{"schema":{{"fields":[]}},"payload":{}}}"#, flat(r#","__op":"r""#)),
        format!(
            r#"{{"table":"posts","op":"insert","ts_ms":1795374221000,"before":null,"after":{}}}"#,
            after(CREATED_US)
        ),
        format!(r#"{{"op":"UPDATE","after":{}}}"#, after("\"1795373021120\"")),
    ];
    for shape in &shapes {
        assert_eq!(post(shape), row(), "{shape}");
    }
}

#[test]
fn every_word_for_an_operation_is_known_in_any_case() {
    for op in ["c", "C", "create", "Insert", "u", "UPDATE", "r", "read", "snapshot"] {
        assert_eq!(post(&envelope(op, "null", &after(CREATED_US))), row(), "{op}");
    }
    for op in ["d", "D", "delete"] {
        assert_eq!(post(&envelope(op, &after("0"), "null")), RowChange::Delete(RowKey::Post(uuid(P))));
    }
    for op in ["t", "TRUNCATE"] {
        assert_eq!(post(&envelope(op, "null", "null")), RowChange::Truncate);
    }
    for op in ["x", "", "cc"] {
        assert_eq!(reason(Topic::Posts, &envelope(op, "null", "null"), &UUID), DeadReason::UnknownOp);
    }
    assert_eq!(reason(Topic::Posts, r#"{"op":7,"after":{}}"#, &UUID), DeadReason::UnknownOp);
    assert_eq!(reason(Topic::Posts, r#"{"before":null,"after":{}}"#, &UUID), DeadReason::MissingField);
}

#[test]
fn records_without_a_row_ask_for_nothing() {
    for value in [
        "null",
        r#"{"schema":null,"payload":null}"#,
        r#"{"schema":{"type":"struct"},"payload":null}"#,
        r#"{"ts_ms":1795374221120}"#,
        r#"{"schema":{"type":"struct"},"payload":{"ts_ms":1795374221120}}"#,
        r#"{"op":"m","ts_ms":1,"source":{"table":"","lsn":5},"message":{"prefix":"a","content":"eA=="}}"#,
        r#"{"status":"BEGIN","id":"571:53195829","ts_ms":1,"event_count":null,"data_collections":null}"#,
    ] {
        assert_eq!(read(Topic::Posts, None, value, &UUID), Ok(Change::Nothing), "{value}");
    }
    assert_eq!(reason(Topic::Posts, "{}", &UUID), DeadReason::MissingField);
}

#[test]
fn only_the_key_of_a_delete_is_believed() {
    let gone = RowChange::Delete(RowKey::Like(uuid(P), uuid(A)));
    let key = format!(r#"{{"user_id":"{P}","post_id":"{A}"}}"#);
    let wrapped_key = format!(r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{key}}}"#);
    let delete = |before: &str| envelope("d", before, "null").replace("posts", "likes");
    let lied = r#"{"user_id":"","post_id":"","created_at":0,"__deleted":"true","__table":"likes"}"#.to_owned();
    let flat =
        format!(r#"{{"user_id":"{P}","post_id":"{A}","created_at":"1970-01-01T00:00:00.000000Z","__deleted":true}}"#);
    for (key, value) in [
        (None, delete(&key)),
        (Some(key.as_str()), delete("null")),
        (Some(wrapped_key.as_str()), delete("null")),
        (Some(key.as_str()), delete(r#"{"user_id":"","post_id":""}"#)),
        (Some(key.as_str()), delete(r#"{"id":9}"#)),
        (Some(wrapped_key.as_str()), lied.clone()),
        (None, flat.clone()),
        (Some(P), flat.clone()),
        (Some("\u{1}\u{2}"), flat),
        (None, format!(r#"{{"op":"d","before":null,"after":{key}}}"#)),
    ] {
        assert_eq!(changed(Topic::Likes, key, &value).change, gone, "{key:?} {value}");
    }
    let refused = read(Topic::Likes, Some("\"k\""), &delete("null"), &UUID).unwrap_err();
    assert_eq!(refused.reason, DeadReason::MissingField);
    assert_eq!(read(Topic::Likes, None, &lied, &UUID).unwrap_err().reason, DeadReason::BadId);
}

#[test]
fn a_scalar_key_names_the_row_of_a_delete_without_body() {
    let gone = RowChange::Delete(RowKey::Post(uuid(P)));
    let quoted = format!("\"{P}\"");
    let wrapped = format!(r#"{{"schema":{{"type":"string"}},"payload":"{P}"}}"#);
    for key in [P, &quoted, &wrapped] {
        assert_eq!(changed(Topic::Posts, Some(key), &envelope("d", "null", "null")).change, gone, "{key}");
    }
    let value = r#"{"op":"d","table":"posts","before":null}"#;
    let Ok(Change::Cdc(cdc)) = read(Topic::Posts, Some("42"), value, &U64) else { panic!() };
    assert_eq!(cdc.change, RowChange::Delete(RowKey::Post(Id(42))));
}

#[test]
fn a_value_that_was_not_sent_stays_as_it_was() {
    let gap = "__debezium_unavailable_value";
    let value = envelope(
        "u",
        "null",
        &format!(r#"{{"id":"{P}","user_id":"{gap}","created_at":"{gap}","deleted_at":"{gap}"}}"#),
    );
    let expected =
        Row::Post { id: uuid(P), author: Field::Unchanged, created_at: Field::Unchanged, deleted: Field::Unchanged };
    assert_eq!(post(&value), RowChange::Upsert(expected));
    let value = format!(r#"{{"id":"{A}","post_id":"{gap}","__deleted":"false"}}"#);
    let expected = Row::Comment { id: uuid(A), post: Field::Unchanged, user: None };
    assert_eq!(changed(Topic::Comments, None, &value).change, RowChange::Upsert(expected));
    let value = envelope("u", "null", &format!(r#"{{"id":"{gap}","user_id":"{A}","created_at":0}}"#));
    assert_eq!(reason(Topic::Posts, &value, &UUID), DeadReason::BadId);
}

#[test]
fn a_soft_delete_is_any_deleted_at() {
    for (deleted_at, expected) in [("null", false), ("\"infinity\"", true), ("0", true), (CREATED_US, true)] {
        let value = envelope(
            "u",
            "null",
            &format!(r#"{{"id":"{P}","user_id":"{A}","created_at":{CREATED_US},"deleted_at":{deleted_at}}}"#),
        );
        let RowChange::Upsert(Row::Post { deleted, .. }) = post(&value) else { panic!("{value}") };
        assert_eq!(deleted, Field::Known(expected), "{deleted_at}");
    }
}

#[test]
fn the_schema_names_the_unit_of_a_time() {
    let value = |semantic: &str, number: &str| {
        format!(r#"{{"schema":{},"payload":{}}}"#, schema(semantic), envelope("c", "null", &after(number)))
    };
    for (semantic, number, millis) in [
        ("io.debezium.time.MicroTimestamp", "86400000000", 86_400_000),
        ("io.debezium.time.Timestamp", "86400000000", 86_400_000_000),
        ("org.apache.kafka.connect.data.Timestamp", "86400000000", 86_400_000_000),
        ("io.debezium.time.NanoTimestamp", "86400000000000", 86_400_000),
        ("io.debezium.time.Date", "2", 2 * 86_400_000),
        ("something.Else", "1795373021120456", CREATED_MS),
    ] {
        let RowChange::Upsert(Row::Post { created_at, .. }) = post(&value(semantic, number)) else { panic!() };
        assert_eq!(created_at, Field::Known(millis), "{semantic}");
    }
    let infinite = value("io.debezium.time.MicroTimestamp", "9223372036825200000");
    assert_eq!(reason(Topic::Posts, &infinite, &UUID), DeadReason::BadValue);
}

#[test]
fn a_row_of_another_table_is_refused() {
    let other = envelope("c", "null", &after(CREATED_US)).replace("posts", "drafts");
    assert_eq!(reason(Topic::Posts, &other, &UUID), DeadReason::TableMismatch);
    let flat = format!(r#"{{"id":"{P}","__table":"drafts","user_id":"{A}","created_at":0}}"#);
    assert_eq!(reason(Topic::Posts, &flat, &UUID), DeadReason::TableMismatch);
    assert_eq!(reason(Topic::Users, r#"{"op":"t","table":"posts"}"#, &UUID), DeadReason::TableMismatch);
}

#[test]
fn every_table_has_its_key_columns() {
    let two = |a: &str, b: &str| format!(r#"{{"op":"c","after":{{"{a}":"{P}","{b}":"{A}","created_at":1}}}}"#);
    let (p, a) = (uuid(P), uuid(A));
    for (topic, value, expected) in [
        (Topic::Follows, two("follower_id", "following_id"), Row::Follow { follower: p, following: a }),
        (Topic::Likes, two("user_id", "post_id"), Row::Like { user: p, post: a }),
        (Topic::Blocks, two("blocker_id", "blocked_id"), Row::Block { blocker: p, blocked: a }),
        (Topic::Comments, two("id", "post_id"), Row::Comment { id: p, post: Field::Known(a), user: None }),
        (Topic::Users, two("id", "name"), Row::User { id: p }),
    ] {
        assert_eq!(changed(topic, None, &value).change, RowChange::Upsert(expected));
    }
}

#[test]
fn a_table_may_have_columns_named_like_the_shell() {
    let flat = format!(
        r#"{{"id":"{P}","user_id":"{A}","created_at":{CREATED_US},"payload":{{"id":"other"}},"source":"web","table":"kitchen","__op":"u"}}"#
    );
    assert_eq!(post(&flat), row());
    assert_eq!(post(&flat.replace(r#","__op":"u""#, "")), row());
}

#[test]
fn an_upsert_lacking_a_column_it_needs_is_refused() {
    for value in [
        format!(r#"{{"op":"c","after":{{"id":"{P}","user_id":"{A}"}}}}"#),
        format!(r#"{{"op":"c","after":{{"id":"{P}","user_id":null,"created_at":1}}}}"#),
        format!(r#"{{"op":"c","after":{{"user_id":"{A}","created_at":1}}}}"#),
        r#"{"op":"c","after":null}"#.to_owned(),
        r#"{"op":"c"}"#.to_owned(),
    ] {
        assert_eq!(reason(Topic::Posts, &value, &UUID), DeadReason::MissingField, "{value}");
    }
    for body in ["1", "[]", "\"text\"", "\"[]\""] {
        let value = format!(r#"{{"op":"c","after":{body}}}"#);
        assert_eq!(reason(Topic::Posts, &value, &UUID), DeadReason::BadValue, "{value}");
    }
}

#[test]
fn versions_are_of_the_configured_epoch() {
    let cdc = changed(Topic::Posts, None, &envelope("c", "null", &after(CREATED_US)));
    assert_eq!(cdc.version, Version::from_lsn(3, 26_891_032));
    assert_eq!(cdc.commit_time, 1_795_374_221_000);
}
