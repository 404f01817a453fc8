//! How long Kafka keeps the records of each topic.

use std::collections::BTreeMap;
use std::time::Duration;

use edgefeed_storage::model::Topic;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::client;
use crate::config::Config;

/// The admin client's voice in our log.
struct Voice;

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }
}

/// By topic, in milliseconds; topics that keep their records for ever, or do not say, are left out. Blocks.
pub(super) fn retentions(kafka: &Config) -> BTreeMap<Topic, i64> {
    let timeout = Duration::from_millis(kafka.request_timeout_ms);
    let followed = kafka.topics.followed();
    let asked = || -> Option<_> {
        let admin: AdminClient<Voice> =
            client::base(&kafka.brokers, &kafka.client_id, &kafka.security).create_with_context(Voice).ok()?;
        let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let topics: Vec<_> = followed.iter().map(|(_, name)| ResourceSpecifier::Topic(name)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
        // The library keeps the timeout by itself; twice that is for the case that it does not.
        let answer = runtime.block_on(async {
            tokio::time::timeout(timeout * 2, admin.describe_configs(topics.iter(), &options)).await
        });
        answer.ok()?.ok()
    };
    let mut found = BTreeMap::new();
    for ((topic, _), config) in followed.iter().zip(asked().unwrap_or_default()) {
        let Ok(config) = config else { continue };
        let value = |key| config.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        if !value("cleanup.policy").contains("delete") {
            continue;
        }
        found.extend(
            value("retention.ms").parse().ok().filter(|kept_ms: &i64| *kept_ms >= 0).map(|kept_ms| (*topic, kept_ms)),
        );
    }
    found
}
