//! The `[auth]` section.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::jwks;
use super::keys::{Keys, read_bounded};
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
    /// A PEM file with the public key of RS256, ES256 or EdDSA; empty: none.
    pub public_key_file: PathBuf,
    /// A PEM file with a public key that is still accepted while tokens move to the new one; empty: none.
    pub public_key_file_previous: PathBuf,
    /// Where the issuer publishes its keys (JWKS), instead of `public_key_file`; empty: none.
    pub jwks_url: String,
    /// A file with a JWKS, instead of `jwks_url`; empty: none.
    pub jwks_file: PathBuf,
    /// How old a JWKS may become before it is read anew, in seconds: so long a removed key is still believed.
    pub jwks_max_age_s: u64,
    /// How long the keys read last are believed while the issuer cannot be asked, in seconds.
    pub jwks_max_stale_s: u64,
    /// The `iss` a token must carry; empty: any.
    pub issuer: String,
    /// The `aud` a token must name; empty: any.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u32,
    /// The longest token looked at, in bytes.
    pub token_max_bytes: usize,
    /// How many tokens of RS256, ES256 or EdDSA are remembered as verified; 0: none.
    pub token_cache_max: u64,
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
    /// RSA (PKCS #1 v1.5) with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Its name in tokens and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Jwt,
            algorithm: Algorithm::HS256,
            hs256_secret: SecretString::default(),
            hs256_secret_previous: SecretString::default(),
            public_key_file: PathBuf::new(),
            public_key_file_previous: PathBuf::new(),
            jwks_url: String::new(),
            jwks_file: PathBuf::new(),
            jwks_max_age_s: 600,
            jwks_max_stale_s: 86_400,
            issuer: String::new(),
            audience: String::new(),
            leeway_s: 30,
            token_max_bytes: 8_192,
            token_cache_max: 20_000,
        }
    }
}

impl Config {
    /// Whether keys come from a JWKS.
    pub fn follows_jwks(&self) -> bool {
        self.mode == Mode::Jwt && (!self.jwks_url.is_empty() || !self.jwks_file.as_os_str().is_empty())
    }

    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        within(problems, "auth.leeway_s", self.leeway_s, 0, 300);
        within(problems, "auth.token_max_bytes", self.token_max_bytes, 256, 16_384);
        within(problems, "auth.token_cache_max", self.token_cache_max, 0, 10_000_000);
        within(problems, "auth.jwks_max_age_s", self.jwks_max_age_s, 30, 86_400);
        within(problems, "auth.jwks_max_stale_s", self.jwks_max_stale_s, self.jwks_max_age_s, 30 * 86_400);
        match (self.mode, self.algorithm) {
            (Mode::None, _) => {}
            (Mode::Jwt, Algorithm::HS256) => self.check_secrets(problems),
            (Mode::Jwt, _) => self.check_public_keys(problems),
        }
    }

    fn check_secrets(&self, problems: &mut Vec<Problem>) {
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
        if let Some((key, _)) = self.public_sources().into_iter().find(|(_, set)| *set) {
            let message = "is set, and auth.algorithm = \"HS256\" has no public keys";
            problems.push(Problem::new(key, message, "name the algorithm of the key in auth.algorithm, or remove it"));
        }
    }

    /// Each way to give public keys, and whether it is used.
    fn public_sources(&self) -> [(&'static str, bool); 3] {
        [
            ("auth.public_key_file", !self.public_key_file.as_os_str().is_empty()),
            ("auth.jwks_url", !self.jwks_url.is_empty()),
            ("auth.jwks_file", !self.jwks_file.as_os_str().is_empty()),
        ]
    }

    fn check_public_keys(&self, problems: &mut Vec<Problem>) {
        let given: Vec<_> = self.public_sources().into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect();
        let algorithm = self.algorithm.name();
        match given[..] {
            [] => {
                let message = format!("is not set, and auth.algorithm = \"{algorithm}\" needs a public key");
                let mend = "name a PEM file, or set auth.jwks_url or auth.jwks_file instead";
                problems.push(Problem::new("auth.public_key_file", message, mend));
            }
            ["auth.jwks_url"] => problems.extend(jwks::checked(&self.jwks_url).err()),
            ["auth.jwks_file"] => {
                let read = read_bounded(&self.jwks_file, jwks::MAX_BYTES).map_err(|error| error.to_string());
                if let Err(error) = read.and_then(|bytes| jwks::keys(&bytes, self.algorithm)) {
                    let message = format!("{}: {error}", self.jwks_file.display());
                    let mend = format!("name a file that holds a JWKS with a key of {algorithm}");
                    problems.push(Problem::new("auth.jwks_file", message, mend));
                }
            }
            ["auth.public_key_file"] => problems.extend(Keys::configured(self).err()),
            [first, second, ..] => {
                let message = format!("is set, and so is {first}");
                problems.push(Problem::new(second, message, "keep one of them"));
            }
            [_] => {}
        }
    }
}
