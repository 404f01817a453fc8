//! Tokens whose signature was found good: a reader sends the same one with each request, and a check of RS256, ES256 or
//! EdDSA costs as much as a page.

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::Caller;
use super::claims::Span;

/// The digest of a token; the token itself is not kept.
pub(super) type TokenDigest = [u8; 32];

/// A bounded memory of tokens under one set of keys. Whether a token still holds is asked of the clock each time, so a
/// clock that is set takes effect at once.
#[derive(Debug)]
pub(super) struct VerifiedTokens(Option<Cache<TokenDigest, (Caller, Span)>>);

impl VerifiedTokens {
    /// Remembers so many tokens; none with 0.
    pub(super) fn new(tokens_max: u64) -> Self {
        Self((tokens_max > 0).then(|| Cache::new(tokens_max)))
    }

    /// What a token was found to say, and the digest to remember it by when it is not known.
    pub(super) fn get(&self, token: &str) -> (TokenDigest, Option<(Caller, Span)>) {
        match &self.0 {
            None => ([0; 32], None),
            Some(cache) => {
                let digest = TokenDigest::from(Sha256::digest(token.as_bytes()));
                let known = cache.get(&digest);
                (digest, known)
            }
        }
    }

    pub(super) fn put(&self, digest: TokenDigest, caller: Caller, span: Span) {
        if let Some(cache) = &self.0 {
            cache.insert(digest, (caller, span));
        }
    }
}
