//! Why a caller was not believed.

/// Why a caller was not believed. A closed list: these are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No credentials, or more than one set of them.
    #[error("credentials are required")]
    Missing,
    /// Not a bearer token, or not three parts of base64url and JSON.
    #[error("the token is malformed")]
    Malformed,
    /// Longer than `auth.token_max_bytes`.
    #[error("the token is too long")]
    TooLarge,
    /// Signed in another way than this node is configured for, `none` included.
    #[error("the token is not signed as required")]
    Algorithm,
    /// Not signed by a key this node knows.
    #[error("the token's signature is not valid")]
    Signature,
    /// Signed by a key that the issuer does not publish.
    #[error("the token is signed by a key this node does not know")]
    UnknownKey,
    /// The issuer's keys have not been read yet, or too long ago: a fault of ours, answered as one.
    #[error("the node has no keys to check tokens with; try again later")]
    NoKeys,
    /// `exp` lies behind.
    #[error("the token has expired")]
    Expired,
    /// `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYet,
    /// A required claim is absent or has the wrong type.
    #[error("the token lacks a required claim")]
    Claims,
    /// From another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// For another audience.
    #[error("the token is for another audience")]
    Audience,
    /// The user is not an id of the kind this deployment uses.
    #[error("the user is not a valid id")]
    Subject,
}

impl Denied {
    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::UnknownKey => "unknown_key",
            Self::NoKeys => "no_keys",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Subject => "subject",
        }
    }
}
