//! Lag and contact in JSON, for `/status`.

use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use serde_json::{Map, Value, json};

use super::partition::{Following, Partition};
use super::state::{Presence, State, TopicState};

/// All of it. Times are UTC milliseconds; what is not known is null.
pub(super) fn snapshot(state: &State, now_ms: TimestampMs) -> Value {
    let through = state.applied_through(now_ms);
    let topics: Map<String, Value> = state
        .topics
        .iter()
        .map(|(topic, known)| (topic.name().to_owned(), topic_json(state, *topic, known, now_ms)))
        .collect();
    json!({
        "state": if state.failure.is_some() { "failed" } else if state.caught_up { "live" } else { "catching_up" },
        "failure": state.failure,
        "caught_up": state.caught_up,
        "applied_through": through,
        "staleness_ms": through.map(|through| (now_ms - through).max(0)),
        "last_contact": state.last_contact,
        "contact_error": state.contact_error,
        "topics": topics,
    })
}

fn topic_json(state: &State, topic: Topic, known: &TopicState, now_ms: TimestampMs) -> Value {
    let partitions: Map<String, Value> = state
        .partitions
        .iter()
        .filter(|(at, _)| at.topic == topic)
        .map(|(at, partition)| (at.partition.to_string(), partition_json(*at, partition, known, now_ms)))
        .collect();
    let (presence, detail) = match &known.presence {
        Presence::Unknown => ("unknown", None),
        Presence::There => ("there", None),
        Presence::Missing(detail) => ("missing", Some(detail)),
    };
    json!({
        "kafka_topic": known.kafka_name,
        "required": known.required,
        "presence": presence,
        "detail": detail,
        "stalled": known.stall.as_ref().map(|stall| json!({
            "reason": stall.reason.name(),
            "partition": stall.at.partition,
            "offset": stall.offset,
            "detail": stall.detail,
        })),
        "partitions": partitions,
    })
}

fn partition_json(at: TopicPartition, partition: &Partition, topic: &TopicState, now_ms: TimestampMs) -> Value {
    let at_end = partition.lag_records() == Some(0);
    let (word, gap) = match partition.following {
        Following::Gap(gap) => ("gap", Some(gap)),
        _ if topic.stall.is_some() => ("stalled", None),
        Following::Waiting => ("waiting", None),
        Following::Yes if at_end => ("live", None),
        Following::Yes => ("catching_up", None),
    };
    json!({
        "partition": at.partition,
        "state": word,
        "gap": gap,
        "next_offset": partition.next,
        "log_start": partition.log.map(|(log, _)| log.start),
        "log_end": partition.log.map(|(log, _)| log.end),
        "lag_records": partition.lag_records(),
        "lag_ms": partition.lag_ms(now_ms),
        "fresh_through": partition.fresh_through,
    })
}
