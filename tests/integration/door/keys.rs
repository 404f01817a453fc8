//! Key pairs made for one test, and tokens signed with them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::Sha256;

/// The user of most tokens.
pub(super) const USER: &str = "7";

/// A key pair of an issuer.
pub(super) struct Pair {
    pair: KeyPair,
    rsa: bool,
}

impl Pair {
    pub(super) fn rsa() -> Self {
        Self { pair: KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(), rsa: true }
    }

    pub(super) fn elliptic() -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), rsa: false }
    }

    pub(super) fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// A token over claims that no library would write.
    pub(super) fn sign_text(&self, claims: &str) -> String {
        self.signed(None, &RawValue::from_string(claims.to_owned()).unwrap())
    }

    /// A token under a key name, or none.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        self.signed(kid, claims)
    }

    fn signed<T: Serialize>(&self, kid: Option<&str>, claims: &T) -> String {
        let pem = self.pair.serialize_pem();
        let (algorithm, key) = if self.rsa {
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()))
        } else {
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes()))
        };
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        encode(&header, claims, &key.unwrap()).unwrap()
    }

    /// The public key as an issuer publishes it, of an elliptic pair.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let point = self.pair.der_bytes();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "x": part(&point[1..33]), "y": part(&point[33..65]) })
    }
}

/// Claims that are in order.
pub(super) fn claims() -> Value {
    json!({ "sub": USER, "exp": get_current_timestamp() + 600, "iss": "https://id.example", "aud": "feed" })
}

/// The same with one of them changed; null takes it away.
pub(super) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// A token signed with HMAC under any header, as an attacker makes it.
pub(super) fn forged(header: &Value, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
