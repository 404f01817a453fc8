//! The keys tokens are verified with: one family, chosen by configuration.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto;
use jsonwebtoken::{Algorithm as Jwa, DecodingKey, DecodingKeyKind};
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::config::{Algorithm, Config};
use super::verified::VerifiedTokens;
use crate::problem::Problem;

/// Largest key file read, in bytes.
const FILE_MAX_BYTES: u64 = 64 << 10;
/// RSA keys below 2,048 bits can be broken, and the library refuses every signature of theirs.
const RSA_MIN_BYTES: usize = 256;

/// One key, and the name a token may ask for it by.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    check: Check,
}

/// What a signature is checked with.
#[derive(Debug)]
enum Check {
    /// A secret, made ready once: that takes longer than a token.
    Secret(Hmac<Sha256>),
    Public(DecodingKey),
}

impl Key {
    /// A public key.
    pub(super) fn public(id: Option<String>, key: DecodingKey) -> Self {
        Self { id, check: Check::Public(key) }
    }

    /// A secret of any length.
    fn secret(secret: &[u8]) -> Option<Self> {
        Some(Self { id: None, check: Check::Secret(Hmac::new_from_slice(secret).ok()?) })
    }

    fn has_signed(&self, message: &[u8], signature: &str, algorithm: Jwa) -> bool {
        match &self.check {
            Check::Public(key) => crypto::verify(signature, message, key, algorithm).is_ok_and(|signed| signed),
            Check::Secret(secret) => URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| {
                // In the same time wherever a guess goes wrong.
                secret.clone().chain_update(message).verify_slice(&signature).is_ok()
            }),
        }
    }
}

/// The keys that are believed at a moment. A changed set is a new value, and the tokens that were verified go with the
/// old one.
#[derive(Debug)]
pub(super) struct Keys {
    algorithm: Jwa,
    keys: Vec<Key>,
    pub(super) verified: VerifiedTokens,
}

impl Keys {
    pub(super) fn new(config: &Config, keys: Vec<Key>) -> Self {
        // A secret's check costs less than looking a token up.
        let remembered = if config.algorithm == Algorithm::HS256 { 0 } else { config.token_cache_max };
        Self { algorithm: jwa(config.algorithm), keys, verified: VerifiedTokens::new(remembered) }
    }

    /// The keys a configuration gives itself, in secrets or files.
    pub(super) fn configured(config: &Config) -> Result<Self, Problem> {
        let keys = if config.algorithm == Algorithm::HS256 {
            let secrets = [&config.hs256_secret, &config.hs256_secret_previous].into_iter();
            let secrets = secrets.map(|secret| secret.expose_secret().as_bytes()).filter(|secret| !secret.is_empty());
            secrets.filter_map(Key::secret).collect()
        } else {
            let files = [
                ("auth.public_key_file", &config.public_key_file),
                ("auth.public_key_file_previous", &config.public_key_file_previous),
            ];
            let given = files.into_iter().filter(|(_, path)| !path.as_os_str().is_empty());
            given.map(|(name, path)| key_of_file(config.algorithm, name, path)).collect::<Result<_, _>>()?
        };
        Ok(Self::new(config, keys))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether there is a key to try for a token that names this one, or none.
    pub(super) fn may_know(&self, id: Option<&str>) -> bool {
        self.candidates(id).next().is_some()
    }

    /// Whether one of the keys that the token may mean has signed `message`.
    pub(super) fn have_signed(&self, id: Option<&str>, message: &[u8], signature: &str) -> bool {
        self.candidates(id).any(|key| key.has_signed(message, signature, self.algorithm))
    }

    /// Keys and tokens without a name match any.
    fn candidates(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| match (id, key.id.as_deref()) {
            (Some(asked), Some(name)) => asked == name,
            _ => true,
        })
    }
}

/// The library's name of an algorithm.
const fn jwa(algorithm: Algorithm) -> Jwa {
    match algorithm {
        Algorithm::HS256 => Jwa::HS256,
        Algorithm::RS256 => Jwa::RS256,
        Algorithm::ES256 => Jwa::ES256,
        Algorithm::EdDSA => Jwa::EdDSA,
    }
}

fn key_of_file(algorithm: Algorithm, name: &str, path: &Path) -> Result<Key, Problem> {
    let kind = match algorithm {
        Algorithm::ES256 => "the public key of a P-256 key pair in PEM (`openssl ec -pubout`)",
        Algorithm::EdDSA => "the public key of an Ed25519 key pair in PEM (`openssl pkey -pubout`)",
        Algorithm::RS256 | Algorithm::HS256 => {
            "the public key of an RSA key pair of 2048 bits or more in PEM (`openssl pkey -pubout`)"
        }
    };
    let problem = |what: String| {
        Problem::new(name, format!("{}: {what}", path.display()), format!("name a file that holds {kind}"))
    };
    let pem = read_bounded(path, FILE_MAX_BYTES).map_err(|error| problem(error.to_string()))?;
    let key = match algorithm {
        Algorithm::ES256 => DecodingKey::from_ec_pem(&pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(&pem),
        Algorithm::RS256 | Algorithm::HS256 => DecodingKey::from_rsa_pem(&pem),
    };
    let key = key.ok().filter(|key| is_sound(key, algorithm));
    key.map(|key| Key::public(None, key)).ok_or_else(|| problem(format!("holds no key of {}", algorithm.name())))
}

/// Whether a key can verify anything under the algorithm; with another one every token would be refused, one by one.
pub(super) fn is_sound(key: &DecodingKey, algorithm: Algorithm) -> bool {
    match (algorithm, key.kind()) {
        (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) => der.len() >= RSA_MIN_BYTES,
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, .. }) => n.len() >= RSA_MIN_BYTES,
        // An uncompressed point of two coordinates; a bare one of Ed25519.
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => point.len() == 65,
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => point.len() == 32,
        (Algorithm::ES256 | Algorithm::EdDSA, DecodingKeyKind::RsaModulusExponent { .. }) => false,
        // A secret is no public key.
        (Algorithm::HS256, _) => false,
    }
}

/// A file, unless it is larger than anything it should hold.
pub(super) fn read_bounded(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Error, Read};
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).map_or(true, |read| read > max_bytes) {
        return Err(Error::other(format!("is larger than {max_bytes} bytes")));
    }
    Ok(bytes)
}
