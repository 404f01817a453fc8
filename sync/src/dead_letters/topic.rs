//! Writing dead letters to Kafka.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::create::Maker;
use super::{DETAIL, KEY, Letter, NODE, REASON, TIME};
use crate::config::Config;
use crate::error::Result;
use crate::producer::{Outgoing, Producer};

/// The largest dead letter that can be written, in bytes: as much as the producer's queue holds.
pub(super) const LETTER_MAX_BYTES: usize = 64 << 20;
/// The longest account of a fault that goes into a header, in bytes.
const DETAIL_MAX_BYTES: usize = 1_024;

/// Writes dead letters, each acknowledged by all replicas. A topic is made when its first dead letter comes.
#[derive(Debug)]
pub struct DeadLetterTopic {
    producer: Producer,
    maker: Maker,
    prefix: String,
    /// Source topics whose dead-letter topic is known to be there.
    ready: Arc<Mutex<BTreeSet<String>>>,
}

impl DeadLetterTopic {
    /// A writer for the dead letters of a cluster; `prefix` is `sink.dead_letter_prefix`. Speaks to no broker yet.
    ///
    /// Errors: [`Error::Config`](crate::Error::Config).
    pub fn new(config: &Config, prefix: &str) -> Result<Self> {
        let client_id = format!("{}-dead-letters", config.client_id);
        Ok(Self {
            producer: Producer::connect_large(&config.brokers, &client_id, &config.security, LETTER_MAX_BYTES)?,
            maker: Maker::new(config, &client_id),
            prefix: prefix.to_owned(),
            ready: Arc::default(),
        })
    }

    /// The name of the topic that takes the dead letters of `source`.
    pub fn topic_of(&self, source: &str) -> String {
        format!("{}{source}", self.prefix)
    }

    /// Queues a dead letter and tells its fate through `tell`, on a thread of the producer's: be quick there. Writing
    /// one again is harmless. Waits while the queue is full, and at the first dead letter of a topic for the brokers'
    /// answers (a few times `kafka.request_timeout_ms` at most).
    ///
    /// Errors (`tell` is then never called): [`Error::DeadLetterTopic`](crate::Error::DeadLetterTopic) when there is no
    /// topic and none can be made, [`Error::Kafka`](crate::Error::Kafka) when no broker answers,
    /// [`Error::QueueFull`](crate::Error::QueueFull). Told through `tell`: [`Error::Refused`](crate::Error::Refused)
    /// for good, [`Error::NotDelivered`](crate::Error::NotDelivered) for now.
    pub fn send_then(&self, letter: &Letter<'_>, tell: impl FnOnce(Result<()>) + Send + Sync + 'static) -> Result<()> {
        let topic = self.topic_of(letter.topic);
        self.make_ready(&topic, letter.topic)?;
        let (name, time) = (letter.name(), letter.time.to_string());
        let detail = shortened(letter.detail);
        let mut headers: Vec<(&str, &[u8])> = vec![
            (REASON, letter.reason.name().as_bytes()),
            (DETAIL, detail.as_bytes()),
            (TIME, time.as_bytes()),
            (NODE, letter.node.as_bytes()),
        ];
        headers.extend(letter.key.map(|key| (KEY, key)));
        let record = Outgoing {
            topic: &topic,
            key: Some(name.as_bytes()),
            value: Some(letter.value),
            headers: &headers,
            ..Outgoing::default()
        };
        let (ready, source) = (Arc::clone(&self.ready), letter.topic.to_owned());
        self.producer.send_record(&record, move |fate| {
            if fate.is_err() {
                // Perhaps it was deleted: the next dead letter looks for it again.
                ready.lock().unwrap_or_else(PoisonError::into_inner).remove(&source);
            }
            tell(fate.map(drop));
        })
    }

    /// Waits until the fate of everything queued was told, at most `timeout`.
    ///
    /// Errors: [`Error::FlushTimedOut`](crate::Error::FlushTimedOut).
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.producer.flush(timeout)
    }

    fn make_ready(&self, topic: &str, source: &str) -> Result<()> {
        let is_ready = || self.ready.lock().unwrap_or_else(PoisonError::into_inner).contains(source);
        if !is_ready() {
            self.maker.ensure(topic, source)?;
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned());
        }
        Ok(())
    }
}

/// A text cut to what fits a header, between characters.
fn shortened(text: &str) -> &str {
    let end = (0..=DETAIL_MAX_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
