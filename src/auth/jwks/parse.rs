//! From the bytes of a JWKS to keys. Pure.

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use super::super::config::Algorithm;
use super::super::keys::{Key, is_sound};

/// Keys of one issuer that are looked at: a token without a name is tried with each.
const KEYS_MAX: usize = 16;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// What is read of a key. `x5c`, `x5u` and the rest are not.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a JWKS that verify tokens of `algorithm`; all others are passed over.
///
/// # Errors
/// What is wrong with the set, above all that no key is left: then the one before it stays.
pub(in super::super) fn keys(bytes: &[u8], algorithm: Algorithm) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("it is no JWKS: {error}"))?;
    let read = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: Vec<Key> = read.filter_map(|jwk| jwk.key_of(algorithm)).take(KEYS_MAX + 1).collect();
    match keys.len() {
        0 => Err(format!("it holds no key of {}", algorithm.name())),
        1..=KEYS_MAX => Ok(keys),
        _ => Err(format!("it holds more than {KEYS_MAX} keys of {}", algorithm.name())),
    }
}

impl Jwk {
    fn key_of(self, algorithm: Algorithm) -> Option<Key> {
        let for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
            && self.alg.as_deref().is_none_or(|alg| alg == algorithm.name());
        let key = match (algorithm, self.kty.as_str(), self.crv.as_deref()) {
            (Algorithm::RS256, "RSA", _) => DecodingKey::from_rsa_components(&self.n?, &self.e?),
            (Algorithm::ES256, "EC", Some("P-256")) => DecodingKey::from_ec_components(&self.x?, &self.y?),
            (Algorithm::EdDSA, "OKP", Some("Ed25519")) => DecodingKey::from_ed_components(&self.x?),
            _ => return None,
        };
        let key = key.ok().filter(|key| for_signatures && is_sound(key, algorithm))?;
        Some(Key::public(self.kid, key))
    }
}
