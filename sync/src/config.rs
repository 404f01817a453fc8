//! What an operator can set about Kafka: the `[kafka]` section.

use edgefeed_storage::model::{IdKind, Topic};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::decode::Decode;

/// The `[kafka]` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to find the cluster: `host:port`, several with commas.
    pub brokers: String,
    /// The name this node shows to brokers. Its consumer group, `<client_id>-materializer`, exists in name only: it is never
    /// joined, and nothing is committed to it.
    pub client_id: String,
    /// What the topics are called.
    pub topics: Topics,
    /// How to speak to the brokers.
    pub security: Security,
    /// The top 8 bits of row versions. Raise it by one, and take a new snapshot, when the database's log starts anew
    /// (restore, failover to another timeline).
    pub cdc_epoch: u8,
    /// What a truncate in the log does: `stall` and alert, or `apply`.
    pub cdc_truncate: Truncate,
    /// The largest record value that is read, in bytes; larger ones become dead letters.
    pub record_max_bytes: usize,
    /// How many records are applied in one write, at most.
    pub batch_records: usize,
    /// How long a batch is gathered while records keep coming, in milliseconds. Without more records it is applied at
    /// once.
    pub batch_wait_ms: u64,
    /// How many decoded records may wait for the store.
    pub queue_records: usize,
    /// How much the Kafka library may fetch ahead, in KiB of decompressed records.
    pub prefetch_kib: u32,
    /// How many records the Kafka library tries to have fetched ahead of each partition.
    pub prefetch_records: u32,
    /// How often the ends of the partitions are asked for, in milliseconds. Bounds how fresh "read to the end" can be.
    pub watermark_poll_ms: u64,
    /// How often new topics and partitions are looked for, in milliseconds.
    pub metadata_refresh_ms: u64,
    /// How long an answer of a broker is waited for, in milliseconds.
    pub request_timeout_ms: u64,
}

/// The Kafka names of the topics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Client events, keyed by user.
    pub events: String,
    /// Changes of `posts`.
    pub posts: String,
    /// Changes of `follows`.
    pub follows: String,
    /// Changes of `comments`.
    pub comments: String,
    /// Changes of `likes`.
    pub likes: String,
    /// Changes of `blocks`, where there are any.
    pub blocks: Option<String>,
    /// Changes of `users`, where there are any.
    pub users: Option<String>,
}

/// What a truncate in the log does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncate {
    /// The topic's effects stop, an alert is raised, nothing is lost.
    #[default]
    Stall,
    /// The table is emptied here too.
    Apply,
}

/// How to speak to the brokers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Encryption and authentication of the connection.
    pub protocol: Protocol,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; needed for the SASL protocols.
    pub sasl_mechanism: Option<String>,
    /// The user, for SASL.
    pub username: Option<String>,
    /// The password, for SASL.
    #[serde(serialize_with = "redacted")]
    pub password: Option<SecretString>,
    /// A PEM file with the authorities to trust; the system's when absent.
    pub ca_file: Option<String>,
    /// A PEM file with this client's certificate.
    pub cert_file: Option<String>,
    /// A PEM file with this client's key.
    pub key_file: Option<String>,
}

/// Encryption and authentication of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// A user and a password, unencrypted.
    SaslPlaintext,
    /// A user and a password over TLS.
    SaslSsl,
}

impl Protocol {
    /// The Kafka library's name of the protocol.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    const fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            client_id: "edgefeed".to_owned(),
            topics: Topics::default(),
            security: Security::default(),
            cdc_epoch: 0,
            cdc_truncate: Truncate::Stall,
            record_max_bytes: 1 << 20,
            batch_records: 1_000,
            batch_wait_ms: 20,
            queue_records: 8_192,
            prefetch_kib: 16_384,
            prefetch_records: 5_000,
            watermark_poll_ms: 500,
            metadata_refresh_ms: 30_000,
            request_timeout_ms: 3_000,
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            events: "events".to_owned(),
            posts: "cdc.posts".to_owned(),
            follows: "cdc.follows".to_owned(),
            comments: "cdc.comments".to_owned(),
            likes: "cdc.likes".to_owned(),
            blocks: None,
            users: None,
        }
    }
}

impl Topics {
    /// The Kafka name of a topic; `None` where an optional one is not configured.
    pub fn name_of(&self, topic: Topic) -> Option<&str> {
        match topic {
            Topic::Events => Some(&self.events),
            Topic::Posts => Some(&self.posts),
            Topic::Follows => Some(&self.follows),
            Topic::Comments => Some(&self.comments),
            Topic::Likes => Some(&self.likes),
            Topic::Blocks => self.blocks.as_deref(),
            Topic::Users => self.users.as_deref(),
        }
    }

    /// The topics that are followed, each with its Kafka name.
    pub fn followed(&self) -> Vec<(Topic, String)> {
        Topic::ALL.into_iter().filter_map(|topic| Some((topic, self.name_of(topic)?.to_owned()))).collect()
    }
}

impl Config {
    /// What of this section decides how records are read.
    pub fn decode(&self, ids: IdKind) -> Decode {
        Decode { ids, cdc_epoch: self.cdc_epoch, record_max_bytes: self.record_max_bytes }
    }

    /// What is wrong with these settings, each with its key and the mend; empty when nothing is.
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.brokers.split(',').any(|broker| broker.trim().is_empty()) {
            problems.push("kafka.brokers: give host:port, several with commas".to_owned());
        }
        if self.client_id.trim().is_empty() {
            problems.push("kafka.client_id: must not be empty".to_owned());
        }
        self.check_topics(&mut problems);
        self.security.check(&mut problems);
        for (key, value, least, most) in [
            ("record_max_bytes", self.record_max_bytes as u64, 1_024, 64 << 20),
            ("batch_records", self.batch_records as u64, 1, 100_000),
            ("batch_wait_ms", self.batch_wait_ms, 0, 10_000),
            ("queue_records", self.queue_records as u64, 64, 10_000_000),
            ("prefetch_kib", u64::from(self.prefetch_kib), 1_024, 2_097_151),
            ("prefetch_records", u64::from(self.prefetch_records), 1, 10_000_000),
            ("watermark_poll_ms", self.watermark_poll_ms, 10, 60_000),
            ("metadata_refresh_ms", self.metadata_refresh_ms, 100, 3_600_000),
            ("request_timeout_ms", self.request_timeout_ms, 100, 60_000),
        ] {
            if !(least..=most).contains(&value) {
                problems.push(format!("kafka.{key}: {value} is not within {least} and {most}"));
            }
        }
        problems
    }

    fn check_topics(&self, problems: &mut Vec<String>) {
        let mut seen = std::collections::BTreeMap::new();
        for (topic, name) in self.topics.followed() {
            let key = topic.name();
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if name.is_empty() || name.len() > 249 || !name.bytes().all(legal) {
                problems.push(format!("kafka.topics.{key}: \"{name}\" is not a legal topic name"));
            } else if let Some(other) = seen.insert(name.clone(), key) {
                problems.push(format!("kafka.topics.{key}: \"{name}\" is already kafka.topics.{other}"));
            }
        }
    }
}

impl Security {
    fn check(&self, problems: &mut Vec<String>) {
        const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
        let mechanism = self.sasl_mechanism.as_deref();
        if mechanism.is_some_and(|mechanism| !MECHANISMS.contains(&mechanism)) {
            problems.push(format!("kafka.security.sasl_mechanism: use one of {}", MECHANISMS.join(", ")));
        }
        let complete = mechanism.is_some() && self.username.is_some() && self.password.is_some();
        if self.protocol.is_sasl() && !complete {
            problems.push("kafka.security: protocol sasl_* needs sasl_mechanism, username and password".to_owned());
        }
        if !self.protocol.is_sasl() && (mechanism.is_some() || self.username.is_some() || self.password.is_some()) {
            problems.push("kafka.security: a user needs protocol sasl_plaintext or sasl_ssl".to_owned());
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            problems.push("kafka.security: cert_file and key_file go together".to_owned());
        }
    }
}

/// Shows that a secret is set, never which; an empty one is none.
pub(crate) fn redacted_plain<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() { "" } else { "[redacted]" })
}

/// Shows that a secret is set, never which.
fn redacted<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "[redacted]").serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().check(), Vec::<String>::new());
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let config: Config = serde_json::from_str(
            r#"{"security":{"protocol":"sasl_ssl","sasl_mechanism":"PLAIN","username":"u","password":"hunter2"}}"#,
        )
        .unwrap();
        assert_eq!(config.check(), Vec::<String>::new());
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn unknown_keys_are_errors() {
        for text in [r#"{"borkers":"x"}"#, r#"{"topics":{"event":"x"}}"#, r#"{"security":{"pass":"x"}}"#] {
            assert!(serde_json::from_str::<Config>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_impossible_setting_is_named() {
        let broken = [
            (r#"{"brokers":""}"#, "kafka.brokers"),
            (r#"{"brokers":"a:1,,b:2"}"#, "kafka.brokers"),
            (r#"{"batch_records":0}"#, "kafka.batch_records"),
            (r#"{"record_max_bytes":10}"#, "kafka.record_max_bytes"),
            (r#"{"topics":{"likes":"events"}}"#, "kafka.topics.likes"),
            (r#"{"topics":{"users":"a b"}}"#, "kafka.topics.users"),
            (r#"{"security":{"protocol":"sasl_ssl"}}"#, "kafka.security"),
            (r#"{"security":{"username":"u"}}"#, "kafka.security"),
            (r#"{"security":{"sasl_mechanism":"GSSAPI"}}"#, "kafka.security.sasl_mechanism"),
            (r#"{"security":{"protocol":"ssl","cert_file":"c"}}"#, "kafka.security"),
        ];
        for (text, key) in broken {
            let problems = serde_json::from_str::<Config>(text).unwrap().check();
            assert!(problems.iter().any(|problem| problem.starts_with(key)), "{text}: {problems:?}");
        }
    }
}
