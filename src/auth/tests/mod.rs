//! Who is believed, and above all who is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod jwks;
mod keys;
mod signer;

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgefeed_storage::model::{Id, IdKind};
use futures_util::FutureExt;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::get_current_timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Auth, Caller, Config, Denied, Mode, Scopes, demo_token};
use crate::clock::now_ms;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "another secret of 32 bytes or so!!";
const USER: &str = "7";

fn config() -> Config {
    Config { hs256_secret: SecretString::from(SECRET), ..Config::default() }
}

fn auth(config: &Config) -> Auth {
    Auth::new(config, IdKind::U64).unwrap()
}

fn bearing(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    headers
}

/// Asks a gate that has its keys at hand: it never waits.
fn ask_at(auth: &Auth, token: &str, now_ms: i64) -> Result<Caller, Denied> {
    auth.authenticate(&bearing(token), now_ms).now_or_never().expect("nothing to wait for")
}

fn ask_as(config: &Config, token: &str) -> Result<Caller, Denied> {
    ask_at(&auth(config), token, now_ms())
}

fn ask(token: &str) -> Result<Caller, Denied> {
    ask_as(&config(), token)
}

/// Signs by hand, so that tokens the library would never write can be made.
fn token_of(header: &str, claims: &str, secret: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn signed(claims: &Value) -> String {
    token_of(HS256, &claims.to_string(), SECRET)
}

fn later() -> u64 {
    get_current_timestamp() + 600
}

fn plain() -> Value {
    json!({ "sub": USER, "exp": later() })
}

#[test]
fn a_signed_token_names_its_user() {
    let caller = Caller { user: Id(7), scopes: Scopes::default() };
    assert_eq!(ask(&signed(&plain())), Ok(caller));
    let demo = demo_token(&SecretString::from(SECRET), USER, Duration::from_secs(60)).unwrap();
    assert_eq!(ask(&demo), Ok(caller));
}

#[test]
fn another_algorithm_is_refused_whatever_it_is_signed_with() {
    let claims = plain().to_string();
    for header in
        [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":"HS384"}"#, r#"{"alg":"RS256"}"#, r#"{"alg":"ES256"}"#]
    {
        let denied = ask(&token_of(header, &claims, SECRET)).unwrap_err();
        assert_eq!(denied, Denied::Algorithm, "{header}");
    }
    let (header, claims) = (URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(&claims));
    assert!(ask(&format!("{header}.{claims}.")).is_err());
    assert!(ask(&format!("{header}.{claims}")).is_err());
}

#[test]
fn a_token_of_another_secret_is_refused() {
    assert_eq!(ask(&token_of(HS256, &plain().to_string(), OTHER)), Err(Denied::Signature));
    assert_eq!(ask(&token_of(HS256, &plain().to_string(), "")), Err(Denied::Signature));
}

#[test]
fn an_altered_token_is_refused() {
    let token = signed(&plain());
    let parts: Vec<_> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.encode(json!({ "sub": "8", "exp": later() }).to_string());
    assert_eq!(ask(&format!("{}.{claims}.{}", parts[0], parts[2])), Err(Denied::Signature));
}

#[test]
fn the_previous_secret_is_believed_while_it_stands() {
    let token = token_of(HS256, &plain().to_string(), OTHER);
    let rotating = Config { hs256_secret_previous: SecretString::from(OTHER), ..config() };
    assert!(ask_as(&rotating, &token).is_ok());
    assert!(ask_as(&rotating, &signed(&plain())).is_ok());
    assert_eq!(ask_as(&rotating, &token_of(HS256, &plain().to_string(), "neither")), Err(Denied::Signature));
}

#[test]
fn times_are_held_to_with_the_leeway() {
    let now = get_current_timestamp();
    for (claims, expected) in [
        (json!({ "sub": USER, "exp": now - 60 }), Some(Denied::Expired)),
        (json!({ "sub": USER, "exp": now - 10 }), None),
        (json!({ "sub": USER, "exp": later(), "nbf": now + 120 }), Some(Denied::NotYet)),
        (json!({ "sub": USER, "exp": later(), "nbf": now + 10 }), None),
    ] {
        assert_eq!(ask(&signed(&claims)).err(), expected, "{claims}");
    }
}

#[test]
fn exp_and_sub_are_required_and_have_their_types() {
    // CVE-2026-25537: a claim of the wrong type was taken for an absent one.
    for claims in [
        json!({ "sub": USER }),
        json!({ "sub": USER, "exp": null }),
        json!({ "sub": USER, "exp": later().to_string() }),
        json!({ "sub": USER, "exp": -1 }),
        json!({ "sub": USER, "exp": [later()] }),
        json!({ "sub": USER, "exp": later(), "nbf": "0" }),
        json!({ "exp": later() }),
        json!({ "sub": null, "exp": later() }),
        json!({ "sub": 7, "exp": later() }),
        json!({ "sub": [USER], "exp": later() }),
        json!([]),
    ] {
        let expected = if claims.is_array() { Denied::Malformed } else { Denied::Claims };
        assert_eq!(ask(&signed(&claims)), Err(expected), "{claims}");
    }
}

#[test]
fn a_claim_given_twice_is_refused() {
    for twice in [r#""sub":"8""#, r#""exp":9999999999"#, r#""s\u0075b":"8""#, r#""role":"a","role":"b""#] {
        let claims = format!(r#"{{"sub":"7","exp":{},{twice}}}"#, later());
        assert_eq!(ask(&token_of(HS256, &claims, SECRET)), Err(Denied::Malformed), "{claims}");
    }
    let header = r#"{"alg":"HS256","alg":"HS256"}"#;
    assert_eq!(ask(&token_of(header, &plain().to_string(), SECRET)), Err(Denied::Malformed));
}

#[test]
fn a_user_of_the_other_kind_of_id_is_refused() {
    for sub in ["", "me", "-1", "7 ", "00000000-0000-0000-0000-000000000007", "18446744073709551616"] {
        assert_eq!(ask(&signed(&json!({ "sub": sub, "exp": later() }))), Err(Denied::Subject), "{sub}");
    }
}

#[test]
fn issuer_and_audience_are_held_to_where_they_are_configured() {
    let strict = Config { issuer: "https://id".to_owned(), audience: "feed".to_owned(), ..config() };
    let with = |iss: Value, aud: Value| signed(&json!({ "sub": USER, "exp": later(), "iss": iss, "aud": aud }));
    assert!(ask_as(&strict, &with(json!("https://id"), json!("feed"))).is_ok());
    assert!(ask_as(&strict, &with(json!("https://id"), json!(["other", "feed"]))).is_ok());
    assert_eq!(ask_as(&strict, &with(json!("https://evil"), json!("feed"))), Err(Denied::Issuer));
    assert_eq!(ask_as(&strict, &with(json!("https://id"), json!("other"))), Err(Denied::Audience));
    assert_eq!(ask_as(&strict, &signed(&plain())), Err(Denied::Claims), "absent is not accepted");
    assert!(ask(&with(json!("https://any"), json!("any"))).is_ok(), "nothing is configured, nothing is held to");
}

#[test]
fn what_is_no_token_is_refused() {
    let whole = signed(&plain());
    let truncated = &whole[..whole.len() - 3];
    for token in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "!!.!!.!!", &whole[..20], truncated] {
        assert!(ask(token).is_err(), "{token}");
    }
    let huge = format!("{HS256}{}", "a".repeat(9_000));
    assert_eq!(ask(&huge), Err(Denied::TooLarge));
    let critical = token_of(r#"{"alg":"HS256","crit":["exp"]}"#, &plain().to_string(), SECRET);
    assert_eq!(ask(&critical), Err(Denied::Malformed));
}

#[test]
fn credentials_stand_once_and_are_of_the_bearer_scheme() {
    let auth = auth(&config());
    let token = signed(&plain());
    let with = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_str(value).unwrap());
        }
        auth.authenticate(&headers, now_ms()).now_or_never().unwrap().err()
    };
    let (good, lower) = (format!("Bearer {token}"), format!("bearer {token}"));
    assert_eq!(with(&[]), Some(Denied::Missing));
    assert_eq!(with(&[&good]), None);
    assert_eq!(with(&[&lower]), None);
    for values in [vec!["Basic YTpi"], vec!["Bearer"], vec!["Bearer "], vec![&token], vec![&good, &good]] {
        assert_eq!(with(&values), Some(Denied::Malformed), "{values:?}");
    }
}

#[test]
fn scopes_are_read_as_issuers_write_them() {
    let scopes = |claim: &str, value: Value| {
        ask(&signed(&json!({ "sub": USER, "exp": later(), claim: value }))).map(|caller| caller.scopes)
    };
    let both = Ok(Scopes { feed_any: true, events_any: true });
    assert_eq!(scopes("scope", json!("feed:any events:any")), both);
    assert_eq!(scopes("scp", json!(["openid", "events:any", "feed:any"])), both);
    assert_eq!(scopes("scope", json!("feed:anyone xfeed:any FEED:ANY")), Ok(Scopes::default()));
    assert_eq!(scopes("roles", json!("feed:any")), Ok(Scopes::default()));
    assert_eq!(scopes("scp", json!(["feed:any events:any"])), Ok(Scopes::default()), "an item is one name");
    for wrong in [json!({ "feed:any": true }), json!(7), json!([7]), json!(null)] {
        assert_eq!(scopes("scope", wrong), Err(Denied::Claims));
    }
}

#[test]
fn without_authentication_the_header_names_the_user_and_no_scope() {
    let auth = auth(&Config { mode: Mode::None, ..Config::default() });
    let with = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-user-id", HeaderValue::from_static(value));
        }
        auth.authenticate(&headers, now_ms()).now_or_never().unwrap()
    };
    assert_eq!(with(&["7"]), Ok(Caller { user: Id(7), scopes: Scopes::default() }));
    assert_eq!(with(&[]), Err(Denied::Missing));
    assert_eq!(with(&["7", "8"]), Err(Denied::Missing));
    assert_eq!(with(&["seven"]), Err(Denied::Subject));
}

#[test]
fn a_clock_that_is_set_takes_effect_at_once() {
    let auth = auth(&config());
    let exp = later();
    let token = signed(&json!({ "sub": USER, "exp": exp, "nbf": exp - 1_200 }));
    let at = |second: u64| ask_at(&auth, &token, i64::try_from(second * 1_000).unwrap()).err();
    assert_eq!(at(exp - 600), None);
    assert_eq!(at(exp + 31), Some(Denied::Expired), "set forward");
    assert_eq!(at(exp - 1_231), Some(Denied::NotYet), "set back before the token's time");
    assert_eq!(at(exp - 1_100), None, "and right again");
}
