//! The `[backup]` section: where copies of the store go, and how many are kept.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, within};
use crate::secret::redacted;

/// The `[backup]` section.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A directory, as `/path` or `file:///path`, or `s3://bucket/prefix`. Empty: no backups.
    pub url: String,
    /// Where an S3-compatible store answers; empty: Amazon's own, by region.
    pub endpoint: String,
    /// The region of the bucket.
    pub region: String,
    /// Who asks. Empty: the machine's own identity, as the environment or the cloud tells it.
    pub access_key_id: String,
    /// The key that requests are signed with.
    #[serde(serialize_with = "redacted")]
    pub secret_access_key: SecretString,
    /// The token of a session, where the keys are of one.
    #[serde(serialize_with = "redacted")]
    pub session_token: SecretString,
    /// How many backups of this node are kept at least.
    pub keep: u32,
    /// For how many days a backup is kept at least.
    pub keep_days: u32,
    /// How often the node makes one by itself, in seconds; 0: never.
    pub every_s: u64,
    /// How long a connection, or the next bytes on one, are waited for, in milliseconds.
    pub timeout_ms: u64,
    /// How often a request that failed is sent again.
    pub retries: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            access_key_id: String::new(),
            secret_access_key: SecretString::default(),
            session_token: SecretString::default(),
            keep: 7,
            keep_days: 0,
            every_s: 0,
            timeout_ms: 30_000,
            retries: 5,
        }
    }
}

/// What `url` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory.
    Dir(String),
    /// A bucket, and what stands in front of every name in it.
    Bucket { bucket: String, prefix: String },
}

impl Config {
    /// Whether there is a place for backups.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
    }

    /// How long a connection, or the next bytes on one, are waited for.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// What `url` names; `None` when it names nothing of the kind.
    pub(super) fn place(&self) -> Option<Place> {
        if let Some(rest) = self.url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/').to_owned();
            return (!bucket.is_empty()).then(|| Place::Bucket { bucket: bucket.to_owned(), prefix });
        }
        let path = self.url.strip_prefix("file://").unwrap_or(&self.url);
        path.starts_with('/').then(|| Place::Dir(path.to_owned()))
    }

    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        if self.is_set() && self.place().is_none() {
            let message = format!("{:?} is neither a directory nor a bucket", self.url);
            problems.push(Problem::new("backup.url", message, "write /path, file:///path or s3://bucket/prefix"));
        }
        if !self.endpoint.is_empty() && !["http://", "https://"].iter().any(|scheme| self.endpoint.starts_with(scheme))
        {
            let message = format!("{:?} is no address", self.endpoint);
            problems.push(Problem::new("backup.endpoint", message, "write http://host:port or https://host"));
        }
        if self.access_key_id.is_empty() != self.secret_access_key.expose_secret().is_empty() {
            let mend = "give backup.access_key_id and backup.secret_access_key, or neither";
            problems.push(Problem::new("backup.secret_access_key", "one of the two keys is not set", mend));
        }
        if self.every_s > 0 && !self.is_set() {
            let mend = "say where backups go, or leave backup.every_s at 0";
            problems.push(Problem::new("backup.url", "is not set, and backup.every_s asks for backups", mend));
        }
        if self.every_s > 0 {
            within(problems, "backup.every_s", self.every_s, 10, 30 * 86_400);
        }
        within(problems, "backup.keep", self.keep, 1, 10_000);
        within(problems, "backup.keep_days", self.keep_days, 0, 3_650);
        within(problems, "backup.timeout_ms", self.timeout_ms, 100, 600_000);
        within(problems, "backup.retries", self.retries, 0, 100);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_bucket() {
        let place = |url: &str| Config { url: url.to_owned(), ..Config::default() }.place();
        let bucket =
            |bucket: &str, prefix: &str| Place::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        assert_eq!(place("/var/backups"), Some(Place::Dir("/var/backups".to_owned())));
        assert_eq!(place("file:///var/backups"), Some(Place::Dir("/var/backups".to_owned())));
        assert_eq!(place("s3://b"), Some(bucket("b", "")));
        assert_eq!(place("s3://b/some/where/"), Some(bucket("b", "some/where")));
        for odd in ["backups", "ftp://x", "s3://", "file://host"] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }
}
