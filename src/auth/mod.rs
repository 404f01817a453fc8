//! Who asks: the bearer token of a request, or the header that stands in for it on a developer's machine.

mod claims;
mod config;
mod denied;
mod header;
mod keys;
mod token;

#[cfg(test)]
mod tests;

use ::http::HeaderMap;
use edgefeed_storage::model::{Id, IdKind};

pub use config::{Algorithm, Config, Mode};
pub use denied::Denied;
pub(crate) use header::bearer;
pub use keys::SignError;
pub use token::demo_token;

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

/// Decides who asks.
#[derive(Debug)]
pub struct Auth {
    ids: IdKind,
    verifier: Option<token::Verifier>,
}

impl Auth {
    /// The gate of a checked configuration.
    pub fn new(config: &Config, ids: IdKind) -> Self {
        let verifier = match config.mode {
            Mode::Jwt => Some(token::Verifier::new(config)),
            Mode::None => None,
        };
        Self { ids, verifier }
    }

    /// The caller of a request with these headers.
    ///
    /// # Errors
    /// [`Denied`] with the reason; the caller learns no more than that the credentials were not accepted.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let caller = match &self.verifier {
            Some(verifier) => self.by_token(verifier, headers),
            None => self.by_header(headers),
        };
        if let Err(denied) = &caller {
            metrics::counter!("edgefeed_auth_failures_total", "reason" => denied.name()).increment(1);
        }
        caller
    }

    fn by_token(&self, verifier: &token::Verifier, headers: &HeaderMap) -> Result<Caller, Denied> {
        let claims = verifier.verify(bearer(headers)?)?;
        let user = self.ids.parse(&claims.sub).ok_or(Denied::Subject)?;
        Ok(Caller { user, scopes: claims.scopes() })
    }

    /// `auth.mode = "none"`: whoever the header names, without any scope, so that a proxy in front which sets the
    /// header does not hand out more than its users' own feeds.
    fn by_header(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let name = header::single(headers, "x-user-id").ok_or(Denied::Missing)?;
        let user = self.ids.parse(name).ok_or(Denied::Subject)?;
        Ok(Caller { user, scopes: Scopes::default() })
    }
}
