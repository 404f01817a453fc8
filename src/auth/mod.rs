//! Who asks: the bearer token of a request, or the header that stands in for it on a developer's machine.

mod claims;
mod config;
mod denied;
mod header;
mod issuer;
mod jwks;
mod keys;
mod token;
mod verified;

#[cfg(test)]
mod tests;

use ::http::HeaderMap;
use edgefeed_storage::model::{Id, IdKind};

pub use config::{Algorithm, Config, Mode};
pub use denied::Denied;
pub(crate) use header::bearer;
pub use token::{SignError, demo_token};

use crate::problem::Problem;

/// The one who asks, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: Id,
    /// What the user may do besides asking for themselves.
    pub scopes: Scopes,
}

/// The scopes this node knows; all others are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// `feed:any`: may read the feed of any user.
    pub feed_any: bool,
    /// `events:any`: may report events of any user.
    pub events_any: bool,
}

/// Reads the JWKS of a configuration once.
///
/// # Errors
/// Why it cannot be read, or holds no key.
pub async fn probe_jwks(config: &Config) -> Result<String, String> {
    let source = jwks::Source::of(config).map_err(|problem| problem.to_string())?;
    let Some(source) = source else { return Ok("none".to_owned()) };
    let keys = jwks::keys(&source.read().await?, config.algorithm)?;
    Ok(format!("{} keys", keys.len()))
}

/// Decides who asks.
#[derive(Debug)]
pub struct Auth {
    ids: IdKind,
    verifier: Option<token::Verifier>,
}

impl Auth {
    /// The gate of a checked configuration. With a JWKS it starts the task that follows it, so it needs a runtime.
    ///
    /// # Errors
    /// A key file that cannot be read any more.
    pub fn new(config: &Config, ids: IdKind) -> Result<Self, Problem> {
        let verifier = match config.mode {
            Mode::Jwt => Some(token::Verifier::new(config, ids)?),
            Mode::None => None,
        };
        Ok(Self { ids, verifier })
    }

    /// Reads the keys of a configuration anew: its files and secrets, or the JWKS before its time. Everything else stays
    /// as it was at the start, and when this fails the keys do too.
    ///
    /// # Errors
    /// A key file that cannot be read.
    pub fn reload(&self, config: &Config) -> Result<(), Problem> {
        self.verifier.as_ref().map_or(Ok(()), |verifier| verifier.reload(config))
    }

    /// The caller of a request with these headers, at `now_ms` in epoch milliseconds.
    ///
    /// # Errors
    /// [`Denied`] with the reason; the caller learns no more than that the credentials were not accepted.
    pub async fn authenticate(&self, headers: &HeaderMap, now_ms: i64) -> Result<Caller, Denied> {
        let caller = match &self.verifier {
            Some(verifier) => match bearer(headers) {
                Ok(token) => verifier.verify(token, now_ms).await,
                Err(denied) => Err(denied),
            },
            None => self.by_header(headers),
        };
        if let Err(denied) = &caller {
            metrics::counter!("edgefeed_auth_failures_total", "reason" => denied.name()).increment(1);
        }
        caller
    }

    /// `auth.mode = "none"`: whoever the header names, without any scope, so that a proxy in front which sets the
    /// header does not hand out more than its users' own feeds.
    fn by_header(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let name = header::single(headers, "x-user-id").ok_or(Denied::Missing)?;
        let user = self.ids.parse(name).ok_or(Denied::Subject)?;
        Ok(Caller { user, scopes: Scopes::default() })
    }
}

/// Says what the metrics of this module mean; call once after the recorder is installed.
pub fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge};
    describe_counter!("edgefeed_auth_failures_total", "Requests whose credentials were not accepted, by reason.");
    describe_counter!("edgefeed_jwks_fetches_total", "Tries to read the issuer's keys (JWKS), by outcome.");
    describe_gauge!("edgefeed_jwks_keys", "Keys of the issuer (JWKS) that are believed.");
    describe_gauge!(
        "edgefeed_jwks_last_success_timestamp_seconds",
        "When the issuer's keys (JWKS) were last read, in epoch seconds."
    );
}
