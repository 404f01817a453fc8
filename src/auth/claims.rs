//! What a token says, as far as this node reads it. `exp`, `nbf`, `iss` and `aud` are read by the verifier.

use serde::Deserialize;

use super::Scopes;

/// The claims this node reads itself.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// The user.
    pub(super) sub: String,
    /// RFC 8693: scopes separated by spaces.
    #[serde(default)]
    scope: Option<Names>,
    /// The same as other issuers write it.
    #[serde(default)]
    scp: Option<Names>,
}

/// Issuers write scopes as one text or as a list, under either name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    Text(String),
    List(Vec<String>),
}

impl Claims {
    pub(super) fn scopes(&self) -> Scopes {
        let mut scopes = Scopes::default();
        for names in [&self.scope, &self.scp].into_iter().flatten() {
            match names {
                Names::Text(text) => text.split(' ').for_each(|name| scopes.add(name)),
                Names::List(list) => list.iter().for_each(|name| scopes.add(name)),
            }
        }
        scopes
    }
}

impl Scopes {
    fn add(&mut self, name: &str) {
        match name {
            "feed:any" => self.feed_any = true,
            "events:any" => self.events_any = true,
            _ => {}
        }
    }
}
