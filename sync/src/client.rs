//! Configured clients of the Kafka library, and its voice in our logs.

use std::sync::Mutex;
use std::sync::PoisonError;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::ExposeSecret;

use crate::config::{Config, Security};
use crate::error::{Error, Result};
use crate::statistics::{self, PartitionEnd};

/// The largest answer to one fetch, in bytes: bounds memory together with `prefetch_kib`.
const FETCH_MAX_BYTES: usize = 8 << 20;
/// How often the library reports where partitions end, in milliseconds.
const STATISTICS_MS: u32 = 1_000;

/// A consumer that is given its partitions and offsets, never by a group.
pub(crate) type Client = BaseConsumer<Context>;

/// What the Kafka library tells a consumer besides records.
#[derive(Debug, Default)]
pub(crate) struct Context {
    ends: Mutex<Vec<PartitionEnd>>,
}

impl Context {
    /// The ends of partitions reported since the last call. Every record before such an end was handed out before.
    pub(crate) fn take_ends(&self) -> Vec<PartitionEnd> {
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }

    fn stats_raw(&self, json: &[u8]) {
        // Each report replaces the one before: this list never grows beyond the partitions.
        let ends = statistics::ends(json);
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }
}

impl ConsumerContext for Context {}

/// Creates the consumer of this node. Speaks to no broker yet.
pub(crate) fn consumer(config: &Config) -> Result<Client> {
    base(&config.brokers, &config.client_id, &config.security)
        // Needed to assign partitions; no member ever joins it and no offset is committed to it.
        .set("group.id", format!("{}-materializer", config.client_id))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Any other value would jump over a gap in silence.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("queued.max.messages.kbytes", config.prefetch_kib.to_string())
        .set("queued.min.messages", config.prefetch_records.to_string())
        .set("fetch.max.bytes", FETCH_MAX_BYTES.to_string())
        .set("fetch.message.max.bytes", (1 << 20).to_string())
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "200")
        // The library's default stops fetching for a whole second once it is `prefetch_records` ahead.
        .set("fetch.queue.backoff.ms", "10")
        .set("statistics.interval.ms", STATISTICS_MS.to_string())
        .create_with_context(Context::default())
        .map_err(Error::kafka("creating the consumer"))
}

/// Creates a consumer that reads what it is told or asks about a group, and never joins one. Speaks to no broker yet.
pub(crate) fn outsider(config: &Config, group: &str) -> Result<Client> {
    base(&config.brokers, &config.client_id, &config.security)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("queued.max.messages.kbytes", config.prefetch_kib.to_string())
        .set("fetch.max.bytes", FETCH_MAX_BYTES.to_string())
        .set("fetch.wait.max.ms", "100")
        // A commit has no timeout of its own.
        .set("socket.timeout.ms", config.request_timeout_ms.max(1_000).to_string())
        .create_with_context(Context::default())
        .map_err(Error::kafka("creating a consumer"))
}

/// What every client shares.
pub(crate) fn base(brokers: &str, client_id: &str, security: &Security) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "3000")
        .set("socket.keepalive.enable", "true")
        .set("security.protocol", security.protocol.name())
        .set_log_level(RDKafkaLogLevel::Info);
    let password = security.password.as_ref().map(ExposeSecret::expose_secret);
    for (key, value) in [
        ("sasl.mechanism", security.sasl_mechanism.as_deref()),
        ("sasl.username", security.username.as_deref()),
        ("sasl.password", password),
        ("ssl.ca.location", security.ca_file.as_deref()),
        ("ssl.certificate.location", security.cert_file.as_deref()),
        ("ssl.key.location", security.key_file.as_deref()),
    ] {
        if let Some(value) = value {
            client.set(key, value);
        }
    }
    client
}

/// Puts a line of the Kafka library into our log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "kafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "kafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "kafka", facility, "{message}"),
    }
}

/// Puts an error event of the Kafka library into our log. It retries by itself; lag and status tell when that lasts.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PartitionEOF) => {}
        _ => tracing::warn!(target: "kafka", "{error}: {reason}"),
    }
}

/// Whether an error says that no broker was reached, so that asking on is no use for now.
pub(crate) fn is_out_of_contact(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL
        )
    )
}
