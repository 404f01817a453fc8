//! What a token says, as far as this node reads it, and whether it holds now.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::{Denied, Scopes};

/// What claims are held to.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The `iss` that is required; empty: none.
    pub(super) issuer: String,
    /// The `aud` that is required; empty: none.
    pub(super) audience: String,
    /// How far clocks may differ, in seconds.
    pub(super) leeway_s: f64,
}

/// The claims this node reads, as they came: a claim of the wrong type is refused, not passed over as absent
/// (CVE-2026-25537).
#[derive(Debug, Default)]
pub(super) struct Claims {
    sub: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iss: Option<Value>,
    aud: Option<Value>,
    /// RFC 8693: scopes separated by spaces.
    scope: Option<Value>,
    /// The same as other issuers write it.
    scp: Option<Value>,
}

/// From when to when a token holds, in epoch seconds; both may have fractions (RFC 7519, 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    not_before: f64,
    expires: f64,
}

impl Span {
    /// Whether the token holds at `now_s`.
    pub(super) fn check(self, now_s: f64, leeway_s: f64) -> Result<(), Denied> {
        if self.expires + leeway_s < now_s {
            return Err(Denied::Expired);
        }
        if self.not_before - leeway_s > now_s {
            return Err(Denied::NotYet);
        }
        Ok(())
    }
}

impl Claims {
    /// The user, the scopes and the span of claims that keep to the rules. The span is not held against a clock yet.
    pub(super) fn read(&self, rules: &Rules) -> Result<(&str, Scopes, Span), Denied> {
        let sub = self.sub.as_ref().and_then(Value::as_str).ok_or(Denied::Claims)?;
        let span = Span {
            expires: time(self.exp.as_ref())?.ok_or(Denied::Claims)?,
            not_before: time(self.nbf.as_ref())?.unwrap_or(0.0),
        };
        if !rules.issuer.is_empty() {
            let issuer = self.iss.as_ref().and_then(Value::as_str).ok_or(Denied::Claims)?;
            if issuer != rules.issuer {
                return Err(Denied::Issuer);
            }
        }
        if !rules.audience.is_empty() {
            let audience = names(self.aud.as_ref()).ok_or(Denied::Claims)?;
            if !audience.contains(&rules.audience.as_str()) {
                return Err(Denied::Audience);
            }
        }
        Ok((sub, self.scopes()?, span))
    }

    fn scopes(&self) -> Result<Scopes, Denied> {
        let mut scopes = Scopes::default();
        for claim in [&self.scope, &self.scp].into_iter().flatten() {
            let listed = names(Some(claim)).ok_or(Denied::Claims)?;
            let text = claim.is_string();
            listed.iter().flat_map(|names| names.split(|c| text && c == ' ')).for_each(|name| scopes.add(name));
        }
        Ok(scopes)
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

/// A moment in epoch seconds; text, negative numbers and everything else that is none is refused.
fn time(claim: Option<&Value>) -> Result<Option<f64>, Denied> {
    match claim {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|at| *at >= 0.0).map(Some).ok_or(Denied::Claims),
    }
}

/// One text or a list of texts: issuers write audiences and scopes either way.
fn names(claim: Option<&Value>) -> Option<Vec<&str>> {
    match claim? {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) => names.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Once)
    }
}

/// Reads an object of which no member stands twice, read by us or not: of two the issuer meant one, and another party
/// on the way may have read the other.
struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut claims = Claims::default();
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let place = match name.as_str() {
                "sub" => Some(&mut claims.sub),
                "exp" => Some(&mut claims.exp),
                "nbf" => Some(&mut claims.nbf),
                "iss" => Some(&mut claims.iss),
                "aud" => Some(&mut claims.aud),
                "scope" => Some(&mut claims.scope),
                "scp" => Some(&mut claims.scp),
                _ => None,
            };
            match place {
                Some(place) => *place = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            if !seen.insert(name) {
                return Err(A::Error::custom("a claim stands twice"));
            }
        }
        Ok(claims)
    }
}
