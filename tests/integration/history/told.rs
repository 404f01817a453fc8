//! An event where it stands in the log: as a row at the center, and as the record a node applies.

use edgefeed_storage::model::{Action, Change, Counters, Event, Id, IdKind, Outcome, Record, Topic, TopicPartition};
use serde_json::{Value, json};

/// The log all tests here follow.
pub(super) const CLUSTER: &str = "here";
pub(super) const TOPIC: &str = "events";

/// One record of the log.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) partition: u32,
    pub(super) offset: i64,
    /// Kafka's time.
    pub(super) time: i64,
    pub(super) event: Event,
}

impl Told {
    /// A view of an author's post, told at once.
    pub(super) fn view(number: i64, time: i64, user: Id, author: Id) -> Self {
        let event = Event {
            event_id: uuid::Uuid::new_v4().as_u128(),
            event_time: time,
            user,
            post: Id(7),
            author: Some(author),
            action: Action::View,
            dwell_ms: 0,
        };
        Self { partition: 0, offset: number, time, event }
    }

    /// As the node's consumer hands it to the store.
    pub(super) fn record(&self) -> Record {
        let at = TopicPartition { topic: Topic::Events, partition: self.partition };
        let outcome = Outcome::Change(Change::Event(self.event.clone()));
        Record { at, offset: self.offset, time: self.time, outcome, raw: None }
    }

    /// As it stands in `events`; times are ticks of the column, which no zone touches.
    pub(super) fn row(&self, ids: IdKind) -> Value {
        let id = |id: Id| match ids {
            IdKind::Uuid => json!(ids.format(id)),
            IdKind::U64 => json!(u64::try_from(id.0).unwrap()),
        };
        let event = &self.event;
        json!({
            "event_id": uuid::Uuid::from_u128(event.event_id).to_string(),
            "event_time": seconds(event.event_time),
            "user_id": id(event.user),
            "post_id": id(event.post),
            "author_id": event.author.map(id),
            "action": format!("{:?}", event.action).to_lowercase(),
            "dwell_ms": event.dwell_ms,
            "_cluster": CLUSTER,
            "_topic": TOPIC,
            "_partition": self.partition,
            "_offset": self.offset,
            "_ts": seconds(self.time),
            "_range_first": self.offset,
            "_range_last": self.offset,
        })
    }

    /// What it adds to the reader's history of an author on a day; nothing without an author, or of a bare hide.
    pub(super) fn adds(&self) -> Option<(Id, Counters)> {
        let counters = Counters::of(&self.event);
        Some((self.event.author?, counters)).filter(|_| counters != Counters::default())
    }
}

/// Seconds since 1970 as a decimal number, which is how `DateTime64` reads a time without a zone.
fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1_000), time_ms.rem_euclid(1_000))
}
