//! Client events into Kafka, in the format of the contract.

use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind};
use edgefeed_sync::Producer;
use serde_json::{Value, json};

use super::place::Place;

/// One event; each has an id of its own.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: uuid::Uuid,
    pub(crate) time_ms: i64,
    pub(crate) user: Id,
    pub(crate) post: Id,
    pub(crate) author: Id,
    pub(crate) action: &'static str,
}

pub(crate) struct Events {
    producer: Producer,
    topic: String,
    ids: IdKind,
}

impl Events {
    pub(crate) fn into(place: &Place) -> Self {
        let producer = Producer::connect(&place.stack.kafka).unwrap();
        Self { producer, topic: place.topic("events"), ids: place.ids }
    }

    /// Queues an event where its user's events lie.
    pub(crate) fn send(&self, event: &Event) {
        self.send_to(None, event);
    }

    /// Queues an event in a certain partition.
    pub(crate) fn send_to(&self, partition: Option<i32>, event: &Event) {
        let key = self.ids.format(event.user);
        let value = self.json(event).to_string();
        self.producer.send(&self.topic, partition, key.as_bytes(), Some(value.as_bytes()), None).unwrap();
    }

    /// Waits until Kafka has everything.
    pub(crate) fn delivered(&self) {
        self.producer.flush(Duration::from_secs(10)).unwrap();
    }

    fn json(&self, event: &Event) -> Value {
        let id = |id: Id| match self.ids {
            IdKind::Uuid => json!(self.ids.format(id)),
            IdKind::U64 => json!(u64::try_from(id.0).unwrap()),
        };
        json!({
            "event_id": event.id.to_string(),
            "event_time": event.time_ms,
            "user_id": id(event.user),
            "post_id": id(event.post),
            "author_id": id(event.author),
            "action": event.action,
            "dwell_ms": 100,
            "device": "test",
        })
    }
}

/// UTC milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
