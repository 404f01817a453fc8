//! The keys tokens are verified with: one family, chosen by configuration.

use jsonwebtoken::{Algorithm as Jwa, DecodingKey, EncodingKey, Header, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::config::{Algorithm, Config};

/// The keys of a configuration, the current one first.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) algorithm: Jwa,
    accepted: Vec<DecodingKey>,
}

impl Keys {
    pub(super) fn new(config: &Config) -> Self {
        match config.algorithm {
            Algorithm::HS256 => Self {
                algorithm: Jwa::HS256,
                accepted: [&config.hs256_secret, &config.hs256_secret_previous]
                    .into_iter()
                    .filter(|secret| !secret.expose_secret().is_empty())
                    .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes()))
                    .collect(),
            },
        }
    }

    /// The keys to try, in order.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &DecodingKey> {
        self.accepted.iter()
    }
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed: {0}")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

/// Signs claims with HS256.
pub(super) fn sign_hs256<T: Serialize>(secret: &SecretString, claims: &T) -> Result<String, SignError> {
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    Ok(encode(&Header::new(Jwa::HS256), claims, &key)?)
}
