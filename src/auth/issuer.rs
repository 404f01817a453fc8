//! The keys that are believed now: those of the configuration, or those of a JWKS as they come and go.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Denied;
use super::config::Config;
use super::jwks::{Follower, Pace, Source};
use super::keys::Keys;
use crate::problem::Problem;

/// Whoever signs the tokens, as far as this node knows.
#[derive(Debug)]
pub(super) struct Issuer {
    keys: Arc<ArcSwap<Keys>>,
    follower: Option<Follower>,
}

impl Issuer {
    pub(super) fn new(config: &Config) -> Result<Self, Problem> {
        Self::with_pace(config, Pace::of(config))
    }

    pub(super) fn with_pace(config: &Config, pace: Pace) -> Result<Self, Problem> {
        let Some(source) = Source::of(config)? else {
            return Ok(Self { keys: Arc::new(ArcSwap::from_pointee(Keys::configured(config)?)), follower: None });
        };
        let keys = Arc::new(ArcSwap::from_pointee(Keys::new(config, Vec::new())));
        let follower = Follower::start(source, config.clone(), pace, Arc::clone(&keys));
        Ok(Self { keys, follower: Some(follower) })
    }

    /// The keys as they are.
    pub(super) fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// The keys after the issuer was asked again, if it may be asked now, for the sake of a token that none of them is for.
    pub(super) async fn renewed(&self, kid: Option<&str>) -> Result<Arc<Keys>, Denied> {
        if let Some(follower) = &self.follower {
            follower.ask().await;
        }
        let keys = self.keys();
        if keys.may_know(kid) {
            Ok(keys)
        } else if keys.is_empty() {
            Err(Denied::NoKeys)
        } else {
            Err(Denied::UnknownKey)
        }
    }

    /// Takes the keys of a configuration anew; a JWKS is read as soon as it may be. Where keys come from does not change.
    pub(super) fn reload(&self, config: &Config) -> Result<(), Problem> {
        match &self.follower {
            Some(follower) => follower.wake(),
            None if config.follows_jwks() => {}
            None => self.keys.store(Arc::new(Keys::configured(config)?)),
        }
        Ok(())
    }
}
