//! The `[auth]` section.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, within};
use crate::secret::redacted;

/// A secret shorter than the hash it keys can be searched for (RFC 7518, 3.2).
const SECRET_MIN_BYTES: usize = 32;

/// The `[auth]` section.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether callers prove who they are.
    pub mode: Mode,
    /// How tokens are signed. Fixed here: what a token's header says is only compared.
    pub algorithm: Algorithm,
    /// The secret of HS256, at least 32 bytes.
    #[serde(serialize_with = "redacted")]
    pub hs256_secret: SecretString,
    /// A secret that is still accepted while tokens move to the new one; empty: none.
    #[serde(serialize_with = "redacted")]
    pub hs256_secret_previous: SecretString,
    /// The `iss` a token must carry; empty: any.
    pub issuer: String,
    /// The `aud` a token must name; empty: any.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u64,
    /// The longest token looked at, in bytes.
    pub token_max_bytes: usize,
}

/// Whether callers prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// By a signed token.
    Jwt,
    /// Not at all: `X-User-Id` is believed. On loopback only.
    None,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Jwt,
            algorithm: Algorithm::HS256,
            hs256_secret: SecretString::default(),
            hs256_secret_previous: SecretString::default(),
            issuer: String::new(),
            audience: String::new(),
            leeway_s: 30,
            token_max_bytes: 8_192,
        }
    }
}

impl Config {
    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        within(problems, "auth.leeway_s", self.leeway_s, 0, 300);
        within(problems, "auth.token_max_bytes", self.token_max_bytes, 256, 16_384);
        if self.mode == Mode::None {
            return;
        }
        let secret = self.hs256_secret.expose_secret().len();
        let mend = "give 32 random bytes or more, for example from `openssl rand -base64 48`, \
                    in EDGEFEED__AUTH__HS256_SECRET or a file named by EDGEFEED__AUTH__HS256_SECRET_FILE";
        if secret == 0 {
            problems.push(Problem::new("auth.hs256_secret", "is not set", mend));
        } else if secret < SECRET_MIN_BYTES {
            let message = format!("has {secret} bytes, fewer than {SECRET_MIN_BYTES}");
            problems.push(Problem::new("auth.hs256_secret", message, mend));
        }
        let previous = self.hs256_secret_previous.expose_secret().len();
        if (1..SECRET_MIN_BYTES).contains(&previous) {
            let message = format!("has {previous} bytes, fewer than {SECRET_MIN_BYTES}");
            problems.push(Problem::new("auth.hs256_secret_previous", message, "remove it, or give the whole secret"));
        }
    }
}
