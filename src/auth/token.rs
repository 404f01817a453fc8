//! JSON web tokens: verified as RFC 8725 advises, and signed for the demo.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgefeed_storage::model::IdKind;
use jsonwebtoken::{Algorithm as Jwa, EncodingKey, Header as Jose, encode, get_current_timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;

use super::claims::{Claims, Rules, Span};
use super::config::{Config, Mode};
use super::issuer::Issuer;
use super::{Caller, Denied};
use crate::problem::Problem;

/// Verifies tokens by the configuration alone: a token's header chooses no algorithm, and no key but among ours.
#[derive(Debug)]
pub(super) struct Verifier {
    issuer: Issuer,
    algorithm: &'static str,
    ids: IdKind,
    rules: Rules,
    token_max_bytes: usize,
}

/// What is read of a token's header. `jwk`, `jku`, `x5c` and `x5u` are not: a token brings no key of its own.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl Verifier {
    pub(super) fn new(config: &Config, ids: IdKind) -> Result<Self, Problem> {
        Ok(Self::with_issuer(config, ids, Issuer::new(config)?))
    }

    pub(super) fn with_issuer(config: &Config, ids: IdKind, issuer: Issuer) -> Self {
        let rules = Rules {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_s: f64::from(config.leeway_s),
        };
        let (algorithm, token_max_bytes) = (config.algorithm.name(), config.token_max_bytes);
        Self { issuer, algorithm, ids, rules, token_max_bytes }
    }

    /// Takes the keys of a configuration anew, unless they are of another algorithm: that waits for the next start.
    pub(super) fn reload(&self, config: &Config) -> Result<(), Problem> {
        let same = config.mode == Mode::Jwt && config.algorithm.name() == self.algorithm;
        if same { self.issuer.reload(config) } else { Ok(()) }
    }

    /// The caller of a token that is whole, signed by a key of ours, and valid now. Waits only where a token names a
    /// key that the issuer may have added.
    pub(super) async fn verify(&self, token: &str, now_ms: i64) -> Result<Caller, Denied> {
        if token.len() > self.token_max_bytes {
            return Err(Denied::TooLarge);
        }
        let keys = self.issuer.keys();
        let (digest, known) = keys.verified.get(token);
        if let Some((caller, span)) = known {
            return self.holds(span, now_ms).map(|()| caller);
        }
        let parts = Parts::of(token)?;
        let header: Header = json_of(parts.header)?;
        if header.alg != self.algorithm {
            return Err(Denied::Algorithm);
        }
        // Extensions that the issuer marks as critical and that nobody here understands (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(Denied::Malformed);
        }
        let kid = header.kid.as_deref();
        let keys = if keys.may_know(kid) { keys } else { self.issuer.renewed(kid).await? };
        if !keys.have_signed(kid, parts.message.as_bytes(), parts.signature) {
            return Err(Denied::Signature);
        }
        let (caller, span) = self.caller(&json_of(parts.claims)?)?;
        self.holds(span, now_ms)?;
        keys.verified.put(digest, caller, span);
        Ok(caller)
    }

    fn caller(&self, claims: &Claims) -> Result<(Caller, Span), Denied> {
        let (sub, scopes, span) = claims.read(&self.rules)?;
        let user = self.ids.parse(sub).ok_or(Denied::Subject)?;
        Ok((Caller { user, scopes }, span))
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds of our time are exact in a double")]
    fn holds(&self, span: Span, now_ms: i64) -> Result<(), Denied> {
        span.check(now_ms as f64 / 1_000.0, self.rules.leeway_s)
    }
}

/// The three parts of a token, and what is signed of it.
struct Parts<'t> {
    header: &'t str,
    claims: &'t str,
    signature: &'t str,
    message: &'t str,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self, Denied> {
        let (message, signature) = token.rsplit_once('.').ok_or(Denied::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Denied::Malformed)?;
        if claims.contains('.') {
            return Err(Denied::Malformed);
        }
        Ok(Self { header, claims, signature, message })
    }
}

fn json_of<T: DeserializeOwned>(part: &str) -> Result<T, Denied> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Denied::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Denied::Malformed)
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed: {0}")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

/// A token for the demo: `user` in canonical text form, valid from now for `ttl`, without scopes.
///
/// # Errors
/// [`SignError`] when the library refuses the secret.
pub fn demo_token(secret: &SecretString, user: &str, ttl: Duration) -> Result<String, SignError> {
    let now = get_current_timestamp();
    let claims = json!({ "sub": user, "iat": now, "exp": now.saturating_add(ttl.as_secs()) });
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    Ok(encode(&Jose::new(Jwa::HS256), &claims, &key)?)
}
