//! The `[http]` section.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::tls::Tls;
use super::{cors, tls};
use crate::problem::Problem;
use crate::secret::redacted;

/// A key shorter than this can be guessed.
const KEY_MIN_BYTES: usize = 32;
/// The keys that name the certificate.
const TLS_KEYS: [&str; 2] = ["http.tls_cert", "http.tls_key"];

/// The `[http]` section: the public listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, as `address:port`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A PEM file with the certificate and those between it and the root; empty: plain HTTP.
    pub tls_cert: PathBuf,
    /// A PEM file with the certificate's private key.
    pub tls_key: PathBuf,
    /// Origins whose pages may read answers in a browser; `*` alone: all; none: pages of no other site.
    pub cors_origins: Vec<String>,
    /// Answers above so many bytes are compressed where the client takes it; 0: none.
    pub compress_min_bytes: u16,
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
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            cors_origins: Vec::new(),
            // What a fresh connection sends in its first round trip (ten segments): below it compressing saves no time.
            compress_min_bytes: 14_600,
            cursor_key: SecretString::default(),
            cursor_key_previous: SecretString::default(),
        }
    }
}

impl Config {
    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        tls::check(TLS_KEYS, &self.tls_cert, &self.tls_key, problems);
        cors::check(&self.cors_origins, problems);
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

    /// The certificate of the listener, if it has one.
    ///
    /// # Errors
    /// What is wrong with its files.
    pub fn tls(&self) -> Result<Option<Arc<Tls>>, Problem> {
        tls::of(TLS_KEYS, &self.tls_cert, &self.tls_key)
    }
}
