//! Who may come in: a caller who is known, and within the rate a user has. Every handler of a user's request asks here.

use ::http::HeaderMap;
use edgefeed_storage::model::Id;

use super::error::Error;
use super::limits::Config;
use crate::auth::{Auth, Caller};
use crate::clock::now_ms;
use crate::rate_limit::Limiter;

/// The way in.
#[derive(Debug)]
pub struct Door {
    auth: Auth,
    subjects: Limiter<Id>,
}

impl Door {
    /// With the rate of these limits.
    pub fn new(auth: Auth, limits: &Config) -> Self {
        Self { auth, subjects: Limiter::new("subject", limits.subject_per_s, limits.subject_burst) }
    }

    /// Decides who asks.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The caller of a request with these headers. A user is counted once verified, so that forged tokens neither spend
    /// anybody's rate nor take memory.
    ///
    /// # Errors
    /// 401 when the caller is not known, 429 when the user asks too often, 503 while the node has no keys to check with.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let caller = self.auth.authenticate(headers, now_ms()).await?;
        self.subjects.take(caller.user).map_err(Error::RateLimited)?;
        Ok(caller)
    }

    /// How many users are counted at the moment.
    pub fn users_counted(&self) -> u64 {
        self.subjects.len()
    }
}
