//! What can go wrong between Kafka and this node, and what the caller can do about it.

use edgefeed_storage::StoreError;
use rdkafka::error::KafkaError;

/// The error of every call of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Kafka library refused the configuration: mend `[kafka]` and start again. Values are never shown.
    #[error("kafka: {0}")]
    Config(String),
    /// The Kafka library failed for another reason. Try again; when it stays, Kafka's own logs say more.
    #[error("kafka: {what}: {detail}")]
    Kafka {
        /// What was being done.
        what: &'static str,
        /// The library's words.
        detail: String,
    },
    /// The store refused a batch. Nothing was skipped: stop, open the store anew and start again.
    #[error("materializing stopped: {0}")]
    Store(#[from] StoreError),
    /// The operating system gave no thread. Free resources and start again.
    #[error("no thread for {what}: {source}")]
    Thread {
        /// What the thread was for.
        what: &'static str,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// A thread of this crate ended in a panic, which is a bug. Nothing was applied half; start again.
    #[error("the {what} thread ended in a panic")]
    Panicked {
        /// Which one.
        what: &'static str,
    },
    /// The parts did not stop in time; they end by themselves once the broker's answer or its timeout arrives.
    #[error("not stopped within {waited_ms} ms")]
    StopTimedOut {
        /// How long was waited, in milliseconds.
        waited_ms: u128,
    },
    /// The producer's queue stayed full: the broker takes nothing or too little. Slow down and try again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// Records were not delivered, although retried. They are lost unless sent again.
    #[error("{lost} records were not delivered; the first: {detail}")]
    NotDelivered {
        /// How many since this was last reported.
        lost: u64,
        /// Why the first of them was not.
        detail: String,
    },
    /// The brokers refuse a record for good: it is too large, the topic is not there, or this user may not write to it.
    /// Sending it again is no use before that is mended.
    #[error("kafka refuses the record: {detail}")]
    Refused {
        /// The library's words.
        detail: String,
    },
    /// A dead-letter topic is not there and cannot be made, or its source topic is not there. Mend that, or make it by
    /// hand.
    #[error("{topic}: {detail}")]
    DeadLetterTopic {
        /// The topic's Kafka name.
        topic: String,
        /// Why, and what to do.
        detail: String,
    },
    /// Not everything was delivered within the time given. What is queued is still being tried.
    #[error("not everything was delivered in time")]
    FlushTimedOut,
}

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an error of the Kafka library, leaving out configuration values: they may be secrets.
    pub(crate) fn kafka(what: &'static str) -> impl FnOnce(KafkaError) -> Self {
        move |error| match error {
            // The library's own words quote the value.
            KafkaError::ClientConfig(_, _, key, _) => Self::Config(format!("`{key}` has an impossible value")),
            KafkaError::ClientCreation(reason) => Self::Config(reason),
            other => Self::Kafka { what, detail: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn a_refused_setting_is_named_without_its_value() {
        let refused = ClientConfig::new()
            .set("security.protocol", "hunter2")
            .create::<BaseConsumer>()
            .map_err(Error::kafka("creating a consumer"));
        let Err(error) = refused else { panic!("the library took a nonsense protocol") };
        let words = format!("{error} {error:?}");
        assert!(words.contains("security.protocol"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}
