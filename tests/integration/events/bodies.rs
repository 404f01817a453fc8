//! Whatever is posted is answered in one of two shapes, and what is wrong is named.

use serde_json::{Value, json};

use super::own_writes::Place;
use super::town;

const READER: u128 = 100;

fn rejected(body: &Value) -> Vec<(u64, String)> {
    let all = body["rejected"].as_array().unwrap_or_else(|| panic!("no list: {body}"));
    let one = |rejected: &Value| {
        assert!(rejected["message"].as_str().is_some_and(|text| !text.is_empty()), "{rejected}");
        (rejected["index"].as_u64().unwrap(), rejected["code"].as_str().unwrap().to_owned())
    };
    all.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_is_named_by_its_place_and_the_good_ones_go() {
    let place = Place::start(|_| {}).await;
    let (post, good) = (town::post(3), town::event(town::post(3), "view"));
    let now = edgefeed::clock::now_ms();
    let day = 86_400_000;
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event
    };
    let id = uuid::Uuid::new_v4();
    // Under an id of its own: the derived one is that of the event without it.
    let mut fraction = with("event_id", json!(uuid::Uuid::new_v4().to_string()));
    fraction["dwell_ms"] = json!(5.75);
    let events = [
        (good.clone(), None),
        (with("action", json!("wave")), Some("bad_value")),
        (with("action", Value::Null), Some("missing_field")),
        (with("post_id", Value::Null), Some("missing_field")),
        (with("post_id", json!("00000000-0000-0000-0000-0000000000a1")), Some("bad_id")),
        (with("post_id", json!(-1)), Some("bad_id")),
        (with("post_id", json!(1.5)), Some("bad_id")),
        (with("post_id", json!(post.to_string())), None),
        (with("author_id", json!(town::author_of(post) as u64)), None),
        (with("author_id", json!(7)), Some("wrong_author")),
        (with("event_time", json!(now - 91 * day)), Some("time_out_of_range")),
        (with("event_time", json!(now + 10 * 60_000)), Some("time_out_of_range")),
        (with("event_time", json!(now - 89 * day)), None),
        (with("event_time", json!("2026-13-45")), Some("bad_value")),
        (with("event_time", json!(now.to_string())), Some("bad_value")),
        (with("event_time", Value::Null), None),
        (with("event_id", json!("no uuid")), Some("bad_value")),
        (with("event_id", json!(id.simple().to_string())), Some("bad_value")),
        (with("dwell_ms", json!(-5)), Some("bad_value")),
        (with("dwell_ms", json!("5")), Some("bad_value")),
        (fraction, None),
        (with("device", json!({ "os": ["ios"] })), None),
        (with("user_id", json!(READER as u64)), None),
        (with("device", json!("t\u{e9}l\u{e9}phone \u{1f4f1} \u{0}".repeat(40))), None),
        (with("unknown", json!({ "a": [1, { "b": null }] })), None),
        (json!(5), Some("malformed")),
        (json!([]), Some("malformed")),
        (json!(null), Some("malformed")),
        (town::event_with_id(id, post, "like"), None),
        (town::event_with_id(id, post, "like"), None),
        (town::event_with_id(id, town::post(4), "like"), Some("duplicate_id")),
    ];
    let (items, fates): (Vec<_>, Vec<_>) = events.into_iter().unzip();
    let answer = place.http.post(READER, &items).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.body);
    let expected: Vec<_> = (0..).zip(&fates).filter_map(|(index, code)| Some((index, (*code)?.to_owned()))).collect();
    assert_eq!(rejected(&answer.body), expected);
    let taken = answer.body["accepted"].as_u64().unwrap() as usize;
    assert_eq!(taken + rejected(&answer.body).len(), items.len(), "each is told of");
    place.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_used_is_an_error_and_nothing_of_it_is_taken() {
    let place = Place::start(|_| {}).await;
    let event = town::event(town::post(3), "view");
    let many = |count: usize| json!({ "events": vec![event.clone(); count] }).to_string();
    let bad = town::event(town::post(3), "wave");
    let json_type = "application/json";
    for (media_type, body, status, code) in [
        (json_type, String::new(), 400, "bad_request"),
        (json_type, "{".to_owned(), 400, "bad_request"),
        (json_type, "null".to_owned(), 400, "bad_request"),
        (json_type, "[]".to_owned(), 400, "bad_request"),
        (json_type, "{}".to_owned(), 400, "bad_request"),
        (json_type, r#"{"events":null}"#.to_owned(), 400, "bad_request"),
        (json_type, r#"{"events":{}}"#.to_owned(), 400, "bad_request"),
        (json_type, r#"{"events":[],"events":[]}"#.to_owned(), 400, "bad_request"),
        (json_type, r#"{"events":[]}"#.to_owned(), 400, "bad_request"),
        (json_type, r#"{"events":[{"post_id":1,"action":"view"}]"#.to_owned(), 400, "bad_request"),
        (json_type, many(101), 400, "bad_request"),
        (json_type, "[".repeat(50_000), 400, "bad_request"),
        (json_type, format!(r#"{{"events":[{}"#, "[".repeat(50_000)), 400, "bad_request"),
        (json_type, json!({ "events": [bad, bad] }).to_string(), 400, "bad_events"),
        (
            json_type,
            json!({ "events": [{ "user_id": 7, "post_id": 1, "action": "view" }] }).to_string(),
            403,
            "missing_scope",
        ),
        (json_type, " ".repeat(65_537), 413, "body_too_large"),
        ("text/plain", many(1), 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", many(1), 415, "unsupported_media_type"),
    ] {
        let answer = place.http.raw(READER, media_type, body.clone()).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{media_type} {shown}: {}", answer.body);
    }
    let answer =
        place.http.raw(READER, json_type, b"{\"events\":[{\"post_id\":1,\"action\":\"\xff\"}]}".as_slice()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "bad_request"), "not UTF-8");
    let answer = place.http.raw(READER, json_type, r#"{"events":[{"post_id":5001,"action":"\ud800"}]}"#).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "bad_events"), "half a character");
    let message = place.http.raw(READER, json_type, json!({ "events": vec![bad; 50] }).to_string()).await;
    let told = message.body["error"]["message"].as_str().unwrap();
    assert!(told.contains("events[0] bad_value") && told.contains("and 47 more"), "{told}");
    let applied = place.node.now().lag.snapshot(0);
    let ends = applied["topics"]["events"]["partitions"].as_object().unwrap();
    assert!(ends.values().all(|partition| partition["next_offset"] == 0), "nothing of all that is in Kafka: {applied}");
    place.node.stop().await.unwrap();
}
