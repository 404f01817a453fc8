//! Every token that is not whole is refused, counted under its reason, and costs nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::get_current_timestamp;
use serde_json::{Value, json};

use super::House;
use super::keys::{Pair, claims, forged, with};

fn house(pair: &Pair) -> House {
    House::open(|dir| {
        let key = dir.join("public.pem");
        std::fs::write(&key, pair.public_pem()).unwrap();
        format!(
            r#"
            [auth]
            algorithm = "RS256"
            public_key_file = "{}"
            issuer = "https://id.example"
            audience = "feed"
            "#,
            key.display()
        )
    })
}

/// Each way to be wrong, and the reason it is counted under.
fn wrong(pair: &Pair) -> Vec<(&'static str, String, &'static str)> {
    let now = get_current_timestamp();
    let signed = |claims: &Value| pair.sign(None, claims);
    let whole = signed(&claims());
    let unsigned = |alg: &str| {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg }).to_string());
        format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims().to_string()))
    };
    let twice = format!(r#"{{"sub":"8",{}"#, &claims().to_string()[1..]);
    vec![
        ("alg none", unsigned("none"), "algorithm"),
        ("alg None", unsigned("None"), "algorithm"),
        (
            "HS256 with the RSA public key",
            forged(&json!({ "alg": "HS256" }), &claims().to_string(), pair.public_pem().as_bytes()),
            "algorithm",
        ),
        (
            "that, and says RS256",
            forged(&json!({ "alg": "RS256" }), &claims().to_string(), pair.public_pem().as_bytes()),
            "signature",
        ),
        ("another key", Pair::rsa().sign(None, &claims()), "signature"),
        ("another key that it brings along", Pair::rsa().sign(Some("https://evil.example"), &claims()), "signature"),
        ("another audience", signed(&with("aud", json!("shop"))), "audience"),
        ("no audience", signed(&with("aud", Value::Null)), "claims"),
        ("another issuer", signed(&with("iss", json!("https://evil.example"))), "issuer"),
        ("no issuer", signed(&with("iss", Value::Null)), "claims"),
        ("expired", signed(&with("exp", json!(now - 60))), "expired"),
        ("from the future", signed(&with("nbf", json!(now + 300))), "not_yet"),
        ("exp as text", signed(&with("exp", json!((now + 600).to_string()))), "claims"),
        ("no exp", signed(&with("exp", Value::Null)), "claims"),
        ("no sub", signed(&with("sub", Value::Null)), "claims"),
        ("sub of another kind", signed(&with("sub", json!("00000000-0000-0000-0000-000000000007"))), "subject"),
        ("a claim twice", pair.sign_text(&twice), "malformed"),
        ("huge", signed(&with("padding", json!("x".repeat(9_000)))), "too_large"),
        ("truncated", whole[..whole.len() - 5].to_owned(), "signature"),
        ("truncated in the claims", whole[..whole.rfind('.').unwrap() - 7].to_owned(), "malformed"),
        ("no base64", "a?.b?.c?".to_owned(), "malformed"),
        ("no token", "token".to_owned(), "malformed"),
    ]
}

#[test]
fn every_token_that_is_not_whole_is_401_and_counted_by_its_reason() {
    let pair = Pair::rsa();
    let house = house(&pair);
    assert_eq!(house.feed(&pair.sign(None, &claims()), "").status, 200);
    let mut tokens = Vec::new();
    for (what, token, reason) in wrong(&pair) {
        let label = format!("reason=\"{reason}\"");
        let before = house.count("edgefeed_auth_failures_total", &label);
        let answer = house.feed(&token, "");
        assert!(answer.is(401, "unauthorized"), "{what}: {} {}", answer.status, answer.code);
        assert_eq!(house.count("edgefeed_auth_failures_total", &label), before + 1.0, "{what} is {reason}");
        tokens.push(token);
    }
    let none = house.ask(house.get("/api/v1/feed"));
    assert!(none.is(401, "unauthorized"));
    assert_eq!(house.count("edgefeed_auth_failures_total", "reason=\"missing\""), 1.0);

    // Another user's feed needs the scope.
    let stranger = house.feed(&pair.sign(None, &claims()), "?user=8");
    assert!(stranger.is(403, "missing_scope"), "{} {}", stranger.status, stranger.code);
    let trusted = pair.sign(None, &with("scope", json!("openid feed:any")));
    assert_eq!(house.feed(&trusted, "?user=8").status, 200);
    assert!(house.count("edgefeed_http_requests_total", "status=\"403\"") >= 1.0);

    // Nothing of what was asked stands in the log.
    let log = house.close();
    for token in tokens.iter().filter(|token| token.len() > 20) {
        assert!(!log.contains(token.as_str()) && !log.contains(&token[..20]), "a token is in the log");
    }
    assert!(!log.contains("user=8"), "a query is in the log");
}

#[test]
fn ten_thousand_forged_subjects_do_not_grow_the_memory_and_a_real_one_has_its_rate() {
    let pair = Pair::rsa();
    let house = house(&pair);
    let forge =
        |number: usize| forged(&json!({ "alg": "RS256" }), &with("sub", json!(number.to_string())).to_string(), b"x");
    let flood = |range: std::ops::Range<usize>| {
        house.runtime.block_on(async {
            for number in range {
                let request = house.get("/api/v1/feed").bearer_auth(forge(number));
                assert_eq!(request.send().await.unwrap().status(), 401);
            }
        });
    };
    // What the first ones need once, connections and buffers, is there afterwards.
    flood(0..1_000);
    let before = house.memory();
    flood(1_000..11_000);
    let grown = house.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    eprintln!("10,000 forged subjects: {} kB more memory", grown >> 10);
    assert_eq!(house.count("edgefeed_auth_failures_total", "reason=\"signature\""), 11_000.0);
    assert_eq!(house.count("edgefeed_rate_limited_total", "by=\"subject\""), 0.0, "nobody's rate was touched");

    let token = pair.sign(None, &claims());
    let limited = house.runtime.block_on(async {
        let mut answers = Vec::new();
        // The burst and more, faster than it comes back.
        let tasks: Vec<_> =
            (0..400).map(|_| tokio::spawn(house.get("/api/v1/feed").bearer_auth(&token).send())).collect();
        for task in tasks {
            answers.push(super::Answer::read(task.await.unwrap().unwrap()).await);
        }
        answers
    });
    let taken = limited.iter().filter(|answer| answer.status == 200).count();
    assert!(taken >= 100, "the burst is there for the user whom nobody forged: {taken}");
    let refused: Vec<_> = limited.iter().filter(|answer| answer.is(429, "rate_limited")).collect();
    assert_eq!(taken + refused.len(), limited.len());
    assert!(refused.iter().all(|answer| answer.retry_after == Some(1)), "at 50 a second there is room within one");
    if !refused.is_empty() {
        assert_eq!(house.count("edgefeed_rate_limited_total", "by=\"subject\""), refused.len() as f64);
    }
    house.close();
}
