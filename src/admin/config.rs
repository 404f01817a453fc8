//! The `[admin]` section.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::http::tls::{self, Tls};
use crate::problem::Problem;
use crate::secret::redacted;

/// A token shorter than this can be guessed.
const TOKEN_MIN_BYTES: usize = 16;
/// The keys that name the certificate.
const TLS_KEYS: [&str; 2] = ["admin.tls_cert", "admin.tls_key"];

/// The `[admin]` section: the listener for operators.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, as `address:port`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A PEM file with the certificate and those between it and the root; empty: plain HTTP.
    pub tls_cert: PathBuf,
    /// A PEM file with the certificate's private key.
    pub tls_key: PathBuf,
    /// The bearer token asked for; required when `listen` is not on loopback. Empty: none.
    #[serde(serialize_with = "redacted")]
    pub token: SecretString,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            token: SecretString::default(),
        }
    }
}

impl Config {
    /// The certificate of the listener, if it has one.
    ///
    /// # Errors
    /// What is wrong with its files.
    pub fn tls(&self) -> Result<Option<Arc<Tls>>, Problem> {
        tls::of(TLS_KEYS, &self.tls_cert, &self.tls_key)
    }

    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        tls::check(TLS_KEYS, &self.tls_cert, &self.tls_key, problems);
        let length = self.token.expose_secret().len();
        let mend = "give 16 bytes or more in EDGEFEED__ADMIN__TOKEN or a file named by EDGEFEED__ADMIN__TOKEN_FILE, \
                    or listen on 127.0.0.1";
        if length == 0 && !self.listen.ip().is_loopback() {
            let message = format!("is not set, and admin.listen = {} is reachable from outside", self.listen);
            problems.push(Problem::new("admin.token", message, mend));
        } else if (1..TOKEN_MIN_BYTES).contains(&length) {
            let message = format!("has {length} bytes, fewer than {TOKEN_MIN_BYTES}");
            problems.push(Problem::new("admin.token", message, mend));
        }
    }
}
