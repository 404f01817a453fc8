//! The value of a record of `events`.

use edgefeed_storage::model::{Action, IdKind};
use serde_json::{Map, Value};

use super::super::fact::EventFact;
use super::super::mix::mix;
use super::{id_value, timestamp};

/// The JSON a client would have sent. Which optional fields it has, and how it writes the time, depends on the event.
pub(super) fn value(ids: IdKind, event: &EventFact) -> Value {
    let whim = mix(event.event_time as u64 ^ event.post.0 as u64);
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    if let Some(id) = event.event_id {
        put("event_id", Value::from(IdKind::Uuid.format(edgefeed_storage::model::Id(id))));
    }
    let time = if whim.is_multiple_of(4) {
        Value::from(event.event_time)
    } else {
        Value::from(format!("{:.3}", timestamp(event.event_time)))
    };
    put("event_time", time);
    put("user_id", id_value(ids, event.user));
    put("post_id", id_value(ids, event.post));
    match event.author {
        Some(author) => put("author_id", id_value(ids, author)),
        None if whim.is_multiple_of(2) => put("author_id", Value::Null),
        None => None,
    };
    put("action", Value::from(action_name(event.action)));
    if event.dwell_ms > 0 {
        put("dwell_ms", Value::from(event.dwell_ms));
    }
    put("device", Value::from(["ios", "android", "web"][(whim >> 8) as usize % 3]));
    if !(whim >> 16).is_multiple_of(5) {
        put("app_ver", Value::from(format!("8.{}.{}", (whim >> 24) % 9, (whim >> 32) % 4)));
    }
    Value::Object(object)
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::View => "view",
        Action::Impression => "impression",
        Action::Like => "like",
        Action::Comment => "comment",
        Action::Share => "share",
        Action::Hide => "hide",
    }
}
