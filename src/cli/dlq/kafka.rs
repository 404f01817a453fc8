//! The verbs on the dead letters in Kafka, which all nodes share.

use std::collections::{BTreeMap, BTreeSet};

use edgefeed_storage::model::{DeadReason, TimestampMs};
use edgefeed_sync::dead_letters::{Account, Action, Found, Order, carry_out, split_name};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::args::{Output, ReplayArgs};
use super::super::live::failure;
use super::super::out;
use super::text;
use crate::clock::now_ms;
use crate::config::Config;
use crate::dead_letters::{DropOrder, Trouble, reason_of, topic_of};
use crate::failure::Failure;
use crate::feed::time::rfc3339;

/// Replays; what was done is printed also when something failed half-way.
pub(super) fn replay(args: ReplayArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let source = kafka_name(&config, &args.topic)?;
    let only = args.key.as_deref().map(|key| place(&config, key, &source)).transpose()?;
    let order = Order {
        action: Action::Replay,
        only: only.map(|place| BTreeSet::from([place])),
        source,
        reason: args.reason.as_deref().map(reason_of).transpose().map_err(failure)?,
        since: args.since.as_deref().map(|since| moment(since, now_ms())).transpose()?,
        limit: args.limit,
        dry_run: args.dry_run,
    };
    let mut account = Account::default();
    let outcome = carry_out(&config.kafka, &config.sink.dead_letter_prefix, &order, &mut account);
    if outcome.is_ok() || account.done > 0 {
        match args.common.output {
            Output::Text => out::text(&text::account(&account, args.dry_run))?,
            Output::Json => out::json(&as_json(&account, args.dry_run))?,
        }
    }
    outcome.map_err(|error| Failure::failed(format!("{error}; what was replayed is marked, ask again for the rest")))
}

fn as_json(account: &Account, dry_run: bool) -> serde_json::Value {
    let letter = |found: &Found| {
        json!({
            "key": found.key,
            "time": found.time.map(rfc3339),
            "reason": found.reason,
            "detail": found.detail,
            "bytes": found.bytes,
            "replayed_to": found.replayed_to,
        })
    };
    let letters: Vec<_> = account.letters.iter().map(letter).collect();
    json!({
        "topic": account.topic,
        "exists": account.exists,
        "dry_run": dry_run,
        "matched": account.matched,
        "replayed": account.done,
        "letters": letters,
    })
}

/// Drops in Kafka what an order names; gives back how many there were.
pub(super) fn discard(config: &Config, order: &DropOrder) -> Result<u64, Failure> {
    let reason = order.reason.as_deref().map(reason_of).transpose().map_err(failure)?;
    let mut dropped = 0;
    for (source, only) in sources(config, order)? {
        let order = discarding(source, only, reason);
        let mut account = Account::default();
        carry_out(&config.kafka, &config.sink.dead_letter_prefix, &order, &mut account)
            .map_err(|error| Failure::failed(format!("{error}; {} were dropped before", dropped + account.done)))?;
        dropped += account.done;
    }
    Ok(dropped)
}

fn discarding(source: String, only: Option<BTreeSet<(u32, i64)>>, reason: Option<DeadReason>) -> Order {
    Order { action: Action::Drop, source, only, reason, since: None, limit: None, dry_run: false }
}

/// Topics by Kafka's name, each with the places of its letters, or none for all.
type Sources = BTreeMap<String, Option<BTreeSet<(u32, i64)>>>;

/// The topics an order is about, each with the letters it names, or all.
fn sources(config: &Config, order: &DropOrder) -> Result<Sources, Failure> {
    let mut sources = Sources::new();
    if let Some(topic) = &order.topic {
        sources.insert(kafka_name(config, topic)?, None);
    } else if order.keys.is_empty() {
        sources.extend(config.kafka.topics.followed().into_iter().map(|(_, name)| (name, None)));
    }
    for key in &order.keys {
        let (topic, partition, offset) = split_name(key).ok_or_else(|| no_key(key))?;
        let places = sources.entry(kafka_name(config, topic)?).or_default();
        places.get_or_insert_default().insert((partition, offset));
    }
    Ok(sources)
}

/// The Kafka name of a followed topic, given by it or by ours.
fn kafka_name(config: &Config, text: &str) -> Result<String, Failure> {
    let topics = &config.kafka.topics;
    let topic = topic_of(topics, text).map_err(failure)?;
    let name = topics.name_of(topic).map(str::to_owned);
    name.ok_or_else(|| Failure::usage(format!("kafka.topics.{} is not set, so nothing is known of it", topic.name())))
}

/// Where the record of a key of `source` stood.
fn place(config: &Config, key: &str, source: &str) -> Result<(u32, i64), Failure> {
    let (topic, partition, offset) = split_name(key).ok_or_else(|| no_key(key))?;
    if kafka_name(config, topic)? == source {
        Ok((partition, offset))
    } else {
        Err(Failure::usage(format!("{key} is not of topic {source}; name its topic with --topic")))
    }
}

fn no_key(key: &str) -> Failure {
    failure(Trouble::Asked(format!("{key:?} names no record; write TOPIC-PARTITION-OFFSET, as `dlq list` does")))
}

/// A time, or how long ago it was.
fn moment(text: &str, now_ms: TimestampMs) -> Result<TimestampMs, Failure> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let ago = text.parse::<SignedDuration>().ok().and_then(|ago| i64::try_from(ago.as_millis()).ok());
    let wrong = || Failure::usage(format!("--since {text:?} is no time; write 2026-11-22T18:00:00Z, or 90m, 24h"));
    ago.filter(|ago| *ago >= 0).map(|ago| now_ms.saturating_sub(ago)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now = 1_795_376_817_860;
        assert_eq!(moment("2026-11-22T19:46:57.860Z", 0).unwrap(), now);
        assert_eq!(moment("90m", now).unwrap(), now - 5_400_000);
        assert_eq!(moment("24h", now).unwrap(), now - 86_400_000);
        for text in ["", "yesterday", "-5m", "5", "2026-11-22"] {
            assert_eq!(moment(text, now).unwrap_err().code(), 2, "{text}");
        }
    }
}
