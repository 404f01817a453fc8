//! Key pairs made for one test, and tokens signed with them.

use jsonwebtoken::{Algorithm as Jwa, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde_json::{Value, json};

use super::super::Algorithm;
use super::URL_SAFE_NO_PAD;
use base64::Engine;

/// A key pair of one algorithm.
pub(super) struct Signer {
    pub(super) algorithm: Algorithm,
    pair: KeyPair,
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::RS256 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Algorithm::ES256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Algorithm::EdDSA => KeyPair::generate_for(&PKCS_ED25519),
            Algorithm::HS256 => panic!("a secret has no pair"),
        };
        Self { algorithm, pair: pair.unwrap() }
    }

    pub(super) fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// A token with this `kid`, or none.
    pub(super) fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let pem = self.pair.serialize_pem();
        let (jwa, key) = match self.algorithm {
            Algorithm::RS256 => (Jwa::RS256, EncodingKey::from_rsa_pem(pem.as_bytes())),
            Algorithm::ES256 => (Jwa::ES256, EncodingKey::from_ec_pem(pem.as_bytes())),
            _ => (Jwa::EdDSA, EncodingKey::from_ed_pem(pem.as_bytes())),
        };
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(jwa) };
        encode(&header, claims, &key.unwrap()).unwrap()
    }

    /// The public key as a JWKS holds it.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let raw = self.pair.der_bytes();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.algorithm {
            Algorithm::RS256 => {
                let (n, e) = rsa_parts(raw);
                json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": text(n), "e": text(e) })
            }
            Algorithm::ES256 => {
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": text(&raw[1..33]), "y": text(&raw[33..65]) })
            }
            _ => json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(raw) }),
        }
    }
}

/// Modulus and exponent of `SEQUENCE { INTEGER n, INTEGER e }` (PKCS #1).
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    let (_, inner) = element(der);
    let (rest, n) = element(inner);
    let (_, e) = element(rest);
    (n.strip_prefix(&[0]).unwrap_or(n), e)
}

/// What follows the first element, and its content.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let digits = usize::from(long & 0x7f);
            (2 + digits, der[2..2 + digits].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    (&der[head + length..], &der[head..head + length])
}
