//! JSON web tokens: verified as RFC 8725 advises, and signed for the demo.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, get_current_timestamp};
use secrecy::SecretString;
use serde_json::json;

use super::Denied;
use super::claims::Claims;
use super::config::Config;
use super::keys::{Keys, SignError, sign_hs256};

/// Verifies tokens by the configuration alone: a token's header chooses neither algorithm nor key.
#[derive(Debug)]
pub(super) struct Verifier {
    keys: Keys,
    rules: Validation,
    token_max_bytes: usize,
}

impl Verifier {
    pub(super) fn new(config: &Config) -> Self {
        let keys = Keys::new(config);
        let mut rules = Validation::new(keys.algorithm);
        let mut required = vec!["exp", "sub"];
        rules.leeway = config.leeway_s;
        rules.validate_nbf = true;
        // The library checks an issuer and audience only where they are present, unless they are required as well.
        if !config.issuer.is_empty() {
            rules.set_issuer(&[&config.issuer]);
            required.push("iss");
        }
        rules.validate_aud = !config.audience.is_empty();
        if rules.validate_aud {
            rules.set_audience(&[&config.audience]);
            required.push("aud");
        }
        rules.set_required_spec_claims(&required);
        Self { keys, rules, token_max_bytes: config.token_max_bytes }
    }

    /// The claims of a token that is whole, signed by us, and valid now.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, Denied> {
        if token.len() > self.token_max_bytes {
            return Err(Denied::TooLarge);
        }
        let mut denied = Denied::Signature;
        for key in self.keys.candidates() {
            match decode::<Claims>(token, key, &self.rules) {
                // Extensions that the issuer marks as critical and that nobody here understands (RFC 7515, 4.1.11).
                Ok(token) if token.header.crit.is_some() => return Err(Denied::Malformed),
                Ok(token) => return Ok(token.claims),
                Err(error) => denied = reason(error.kind()),
            }
            if denied != Denied::Signature {
                break;
            }
        }
        Err(denied)
    }
}

fn reason(kind: &ErrorKind) -> Denied {
    match kind {
        ErrorKind::InvalidSignature => Denied::Signature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm
        | ErrorKind::InvalidKeyFormat => Denied::Algorithm,
        ErrorKind::ExpiredSignature => Denied::Expired,
        ErrorKind::ImmatureSignature => Denied::NotYet,
        ErrorKind::InvalidIssuer => Denied::Issuer,
        ErrorKind::InvalidAudience => Denied::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Denied::Claims,
        _ => Denied::Malformed,
    }
}

/// A token for the demo: `user` in canonical text form, valid from now for `ttl`, without scopes.
///
/// # Errors
/// [`SignError`] when the library refuses the secret.
pub fn demo_token(secret: &SecretString, user: &str, ttl: Duration) -> Result<String, SignError> {
    let now = get_current_timestamp();
    sign_hs256(secret, &json!({ "sub": user, "iat": now, "exp": now.saturating_add(ttl.as_secs()) }))
}
