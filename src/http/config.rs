//! The `[http]` section.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::secret::redacted;

/// A key shorter than this can be guessed.
const KEY_MIN_BYTES: usize = 32;

/// The `[http]` section: the public listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, as `address:port`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What cursors are sealed with, the same on all nodes of a region. Empty: a key of this process alone.
    #[serde(serialize_with = "redacted")]
    pub cursor_key: SecretString,
    /// A key whose cursors are still taken while they move to the new one; empty: none.
    #[serde(serialize_with = "redacted")]
    pub cursor_key_previous: SecretString,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            cursor_key: SecretString::default(),
            cursor_key_previous: SecretString::default(),
        }
    }
}

impl Config {
    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        for (key, secret) in
            [("http.cursor_key", &self.cursor_key), ("http.cursor_key_previous", &self.cursor_key_previous)]
        {
            let length = secret.expose_secret().len();
            if (1..KEY_MIN_BYTES).contains(&length) {
                let message = format!("has {length} bytes, fewer than {KEY_MIN_BYTES}");
                problems.push(Problem::new(key, message, "give 32 random bytes or more, the same on all nodes"));
            }
        }
    }
}
