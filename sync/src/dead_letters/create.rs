//! Making a dead-letter topic that is not there.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::brokers::found_partitions;
use crate::client;
use crate::config::Config;
use crate::error::{Error, Result};

/// What a dead letter has beyond its record: the key, the headers and the framing, in bytes.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// Looks for topics and makes them.
#[derive(Debug)]
pub(super) struct Maker {
    client: ClientConfig,
    timeout: Duration,
}

/// The admin client's voice in our log.
struct Voice;

impl rdkafka::ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }
}

impl Maker {
    pub(super) fn new(config: &Config, client_id: &str) -> Self {
        let mut client = client::base(&config.brokers, client_id, &config.security);
        // Looking for a topic must not make one.
        client.set("allow.auto.create.topics", "false");
        Self { client, timeout: Duration::from_millis(config.request_timeout_ms) }
    }

    /// Makes `topic` unless it is there: as many partitions as `source`, room for its largest records, and the brokers'
    /// own replication and clean-up.
    pub(super) fn ensure(&self, topic: &str, source: &str) -> Result<()> {
        let admin: AdminClient<Voice> =
            self.client.create_with_context(Voice).map_err(Error::kafka("creating an admin client"))?;
        if self.partitions(&admin, topic)?.is_ok() {
            return Ok(());
        }
        let partitions = self.partitions(&admin, source)?.map_err(|detail| Error::DeadLetterTopic {
            topic: topic.to_owned(),
            detail: format!("cannot be made as its source {source} is not there ({detail})"),
        })?;
        let room = self.largest_record(&admin, source).map(|bytes| bytes.saturating_add(OVERHEAD_BYTES).to_string());
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        if let Some(room) = &room {
            wanted = wanted.set("max.message.bytes", room);
        }
        let made = match self.wait(admin.create_topics([&wanted], &self.options()))? {
            Ok(made) => made,
            // Brokers that cannot be asked, like the embedded one, may make a topic when its first record comes; if not,
            // that record is refused.
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::OperationTimedOut)) => {
                return Ok(());
            }
            Err(error) => return Err(Error::kafka("making a dead-letter topic")(error)),
        };
        match made.into_iter().next() {
            Some(Ok(_)) => {
                tracing::info!(topic, partitions, "made the dead-letter topic");
                Ok(())
            }
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(cannot(topic, partitions, &code.to_string())),
            None => Err(cannot(topic, partitions, "the brokers said nothing")),
        }
    }

    /// How many partitions a topic has, or why it has none.
    fn partitions(&self, admin: &AdminClient<Voice>, topic: &str) -> Result<Result<u32, String>> {
        let metadata = admin.inner().fetch_metadata(Some(topic), self.timeout);
        Ok(found_partitions(&metadata.map_err(Error::kafka("looking for a topic"))?, topic))
    }

    /// The source topic's `max.message.bytes`; `None` where it cannot be asked for.
    fn largest_record(&self, admin: &AdminClient<Voice>, source: &str) -> Option<u64> {
        let asked = self.wait(admin.describe_configs([&ResourceSpecifier::Topic(source)], &self.options()));
        let config = asked.ok()?.ok()?.into_iter().next()?.ok()?;
        config.get("max.message.bytes")?.value.as_ref()?.parse().ok()
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// Waits for an answer of the brokers, on this thread.
    fn wait<T>(&self, answer: impl Future<Output = KafkaResult<T>>) -> Result<KafkaResult<T>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|source| Error::Thread { what: "an admin request", source })?;
        // The library keeps the timeout by itself; twice that is for the case that it does not.
        let answered = runtime.block_on(async { tokio::time::timeout(self.timeout * 2, answer).await });
        answered.map_err(|_| Error::Kafka { what: "an admin request", detail: "no answer in time".to_owned() })
    }
}

fn cannot(topic: &str, partitions: i32, detail: &str) -> Error {
    Error::DeadLetterTopic {
        topic: topic.to_owned(),
        detail: format!(
            "is not there and cannot be made ({detail}); make it with {partitions} partitions, or let this user"
        ),
    }
}
