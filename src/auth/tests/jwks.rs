//! Keys that an issuer publishes: they come, go, and the issuer is away at times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind};
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::super::issuer::Issuer;
use super::super::jwks::{Pace, keys};
use super::super::token::Verifier;
use super::signer::Signer;
use super::{HS256, SECRET, plain, token_of};
use crate::auth::{Algorithm, Config, Denied};
use crate::clock::now_ms;

const PATIENCE: Duration = Duration::from_secs(20);

/// An issuer whose answer a test chooses.
struct Issued {
    url: String,
    /// What it answers, whole; `None`: nothing, for as long as anybody waits.
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Issued {
    async fn start(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let issued = Self { url, answer: Arc::default(), asked: Arc::default() };
        issued.publish(keys);
        let (answer, asked) = (Arc::clone(&issued.answer), Arc::clone(&issued.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                tokio::spawn(async move {
                    let read = stream.read(&mut [0; 4096]).await;
                    asked.fetch_add(1, Ordering::SeqCst);
                    let text = answer.lock().clone();
                    match text {
                        Some(text) if read.is_ok() => drop(stream.write_all(text.as_bytes()).await),
                        _ => sleep(PATIENCE).await,
                    }
                });
            }
        });
        issued
    }

    fn publish(&self, keys: &[Value]) {
        self.answers("200 OK", &json!({ "keys": keys }).to_string());
    }

    fn answers(&self, status: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        *self.answer.lock() = Some(text);
    }

    fn hangs(&self) {
        *self.answer.lock() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn config(&self, algorithm: Algorithm) -> Config {
        Config { algorithm, jwks_url: self.url.clone(), ..Config::default() }
    }
}

/// A pace at which a test sees everything happen.
fn pace() -> Pace {
    Pace {
        max_age: Duration::from_secs(600),
        max_stale: Duration::from_secs(600),
        pause: Duration::from_millis(300),
        patience: Duration::from_secs(3),
    }
}

fn verifier(config: &Config, pace: Pace) -> Verifier {
    Verifier::with_issuer(config, IdKind::U64, Issuer::with_pace(config, pace).unwrap())
}

async fn ask(verifier: &Verifier, token: &str) -> Result<Id, Denied> {
    timeout(PATIENCE, verifier.verify(token, now_ms())).await.expect("an answer").map(|caller| caller.user)
}

/// Asks until the answer is this one.
async fn until(verifier: &Verifier, token: &str, expected: Result<Id, Denied>) {
    let start = Instant::now();
    loop {
        let answer = ask(verifier, token).await;
        if answer == expected {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{answer:?} for {expected:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_algorithm_is_verified_by_the_key_its_token_names() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (first, second) = (Signer::new(algorithm), Signer::new(algorithm));
        let issued = Issued::start(&[first.jwk("1"), second.jwk("2")]).await;
        let verifier = verifier(&issued.config(algorithm), pace());
        assert_eq!(ask(&verifier, &first.sign(Some("1"), &plain())).await, Ok(Id(7)), "{algorithm:?}");
        assert_eq!(ask(&verifier, &second.sign(Some("2"), &plain())).await, Ok(Id(7)));
        assert_eq!(ask(&verifier, &second.sign(None, &plain())).await, Ok(Id(7)), "unnamed: any of them");
        assert_eq!(ask(&verifier, &second.sign(Some("1"), &plain())).await, Err(Denied::Signature), "another's name");
        assert_eq!(issued.asked(), 1);
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_for_the_first_token_that_names_it_and_a_removed_one_is_dropped_with_it() {
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let issued = Issued::start(&[old.jwk("old")]).await;
    let verifier = verifier(&issued.config(Algorithm::ES256), pace());
    let (of_old, of_new) = (old.sign(Some("old"), &plain()), new.sign(Some("new"), &plain()));
    assert_eq!(ask(&verifier, &of_old).await, Ok(Id(7)));
    issued.publish(&[new.jwk("new")]);
    assert_eq!(ask(&verifier, &of_new).await, Err(Denied::UnknownKey), "the issuer was asked a moment ago");
    sleep(pace().pause).await;
    assert_eq!(ask(&verifier, &of_new).await, Ok(Id(7)), "the first token waits for the key, and is taken");
    until(&verifier, &of_old, Err(Denied::UnknownKey)).await;
}

#[tokio::test]
async fn a_removed_key_is_dropped_at_max_age_though_nobody_asks_for_another() {
    let (old, new) = (Signer::new(Algorithm::EdDSA), Signer::new(Algorithm::EdDSA));
    let issued = Issued::start(&[old.jwk("old"), new.jwk("new")]).await;
    let pace = Pace { max_age: Duration::from_millis(600), ..pace() };
    let verifier = verifier(&issued.config(Algorithm::EdDSA), pace);
    let of_old = old.sign(Some("old"), &plain());
    assert_eq!(ask(&verifier, &of_old).await, Ok(Id(7)));
    issued.publish(&[new.jwk("new")]);
    sleep(pace.max_age).await;
    // A token under a key that is there: it neither asks the issuer nor waits.
    assert_eq!(ask(&verifier, &new.sign(Some("new"), &plain())).await, Ok(Id(7)));
    until(&verifier, &of_old, Err(Denied::UnknownKey)).await;
}

#[tokio::test]
async fn keys_stay_believed_while_the_issuer_is_away_and_not_forever() {
    let signer = Signer::new(Algorithm::ES256);
    let issued = Issued::start(&[signer.jwk("1")]).await;
    let pace = Pace { max_age: Duration::from_millis(400), max_stale: Duration::from_secs(3), ..pace() };
    let verifier = verifier(&issued.config(Algorithm::ES256), pace);
    let token = |number: u32| {
        let mut claims = plain();
        claims["number"] = number.into();
        signer.sign(Some("1"), &claims)
    };
    assert_eq!(ask(&verifier, &token(0)).await, Ok(Id(7)));
    let read = Instant::now();
    for (number, (status, body)) in
        [("500 Oops", ""), ("200 OK", "<html>"), ("200 OK", r#"{"keys":[]}"#), ("302 Found", "")]
            .into_iter()
            .enumerate()
    {
        issued.answers(status, body);
        let asked = issued.asked();
        while issued.asked() == asked {
            sleep(Duration::from_millis(10)).await;
        }
        // A token never seen: its signature is checked with the keys that are there.
        assert_eq!(ask(&verifier, &token(u32::try_from(number).unwrap() + 1)).await, Ok(Id(7)), "{status} {body}");
    }
    until(&verifier, &token(0), Err(Denied::NoKeys)).await;
    assert!(read.elapsed() >= pace.max_stale);
    issued.publish(&[signer.jwk("1")]);
    until(&verifier, &token(0), Ok(Id(7))).await;
}

#[tokio::test]
async fn without_keys_yet_it_is_the_node_that_is_at_fault_and_it_finds_the_issuer_later() {
    let signer = Signer::new(Algorithm::ES256);
    let issued = Issued::start(&[]).await;
    issued.answers("503 Service Unavailable", "");
    let verifier = verifier(&issued.config(Algorithm::ES256), pace());
    let token = signer.sign(Some("1"), &plain());
    assert_eq!(ask(&verifier, &token).await, Err(Denied::NoKeys));
    issued.publish(&[signer.jwk("1")]);
    until(&verifier, &token, Ok(Id(7))).await;
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_issuer_once_a_pause_and_holds_nobody_up() {
    let signer = Signer::new(Algorithm::ES256);
    let issued = Issued::start(&[signer.jwk("1")]).await;
    let pause = Duration::from_secs(1);
    let verifier = Arc::new(verifier(&issued.config(Algorithm::ES256), Pace { pause, ..pace() }));
    assert_eq!(ask(&verifier, &signer.sign(Some("1"), &plain())).await, Ok(Id(7)));
    issued.hangs();
    sleep(pause).await;
    let start = Instant::now();
    let flood: Vec<_> = (0..2_000)
        .map(|number| {
            let (verifier, token) = (Arc::clone(&verifier), signer.sign(Some(&format!("forged {number}")), &plain()));
            tokio::spawn(async move { ask(&verifier, &token).await })
        })
        .collect();
    // Others are answered while the issuer hangs and the flood waits for it.
    let mut claims = plain();
    claims["fresh"] = true.into();
    assert_eq!(ask(&verifier, &signer.sign(Some("1"), &claims)).await, Ok(Id(7)));
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    for answer in flood {
        assert_eq!(answer.await.unwrap(), Err(Denied::UnknownKey));
    }
    let most = 2 + usize::try_from(start.elapsed().as_millis() / pause.as_millis()).unwrap();
    assert!((2..=most).contains(&issued.asked()), "{} times in {:?}", issued.asked(), start.elapsed());
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_take_the_fetch_along() {
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let issued = Issued::start(&[old.jwk("old")]).await;
    let verifier = verifier(&issued.config(Algorithm::ES256), pace());
    assert_eq!(ask(&verifier, &old.sign(Some("old"), &plain())).await, Ok(Id(7)));
    issued.publish(&[old.jwk("old"), new.jwk("new")]);
    sleep(pace().pause).await;
    let gone = ask(&verifier, &old.sign(Some("none"), &plain())).now_or_never();
    assert_eq!(gone, None, "it was about to wait");
    assert_eq!(ask(&verifier, &new.sign(Some("new"), &plain())).await, Ok(Id(7)));
}

#[tokio::test]
async fn a_file_may_hold_the_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::new(Algorithm::RS256), Signer::new(Algorithm::RS256));
    let path = dir.path().join("jwks.json");
    let write = |keys: &[Value]| std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    write(&[old.jwk("old")]);
    let config = Config { algorithm: Algorithm::RS256, jwks_file: path.clone(), ..Config::default() };
    let verifier = verifier(&config, pace());
    assert_eq!(ask(&verifier, &old.sign(Some("old"), &plain())).await, Ok(Id(7)));
    write(&[new.jwk("new")]);
    verifier.reload(&config).unwrap();
    until(&verifier, &new.sign(Some("new"), &plain()), Ok(Id(7))).await;
    assert_eq!(ask(&verifier, &old.sign(Some("old"), &plain())).await, Err(Denied::UnknownKey));
}

#[tokio::test]
async fn a_published_key_is_held_to_its_own_purpose() {
    let (rsa, edwards) = (Signer::new(Algorithm::RS256), Signer::new(Algorithm::EdDSA));
    let with = |name: &str, value: Value| {
        let mut jwk = rsa.jwk("1");
        jwk[name] = value;
        jwk
    };
    let usable = |key: Value| keys(json!({ "keys": [key] }).to_string().as_bytes(), Algorithm::RS256).is_ok();
    assert!(usable(rsa.jwk("1")));
    assert!(usable(with("key_ops", json!(["verify"]))));
    for unfit in [
        with("alg", json!("RS512")),
        with("alg", json!("HS256")),
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("kty", json!("oct")),
        with("n", json!("AQAB")),
        with("n", json!("?")),
        with("kid", json!(7)),
        edwards.jwk("1"),
        json!({ "kty": "oct", "kid": "1", "alg": "HS256", "k": SECRET }),
        json!("a key"),
    ] {
        assert!(!usable(unfit.clone()), "{unfit}");
    }
    let mixed = json!({ "keys": [edwards.jwk("a"), json!(null), rsa.jwk("b")] }).to_string();
    assert_eq!(keys(mixed.as_bytes(), Algorithm::RS256).unwrap().len(), 1, "others are passed over");
    let many: Vec<_> = (0..17).map(|number| rsa.jwk(&number.to_string())).collect();
    assert!(keys(json!({ "keys": many }).to_string().as_bytes(), Algorithm::RS256).is_err());

    // A symmetric key that an issuer publishes by mistake signs nothing here.
    let leaked = json!({ "kty": "oct", "kid": "s", "k": base64::Engine::encode(&super::URL_SAFE_NO_PAD, SECRET) });
    let issued = Issued::start(&[leaked, rsa.jwk("1")]).await;
    let verifier = verifier(&issued.config(Algorithm::RS256), pace());
    assert_eq!(ask(&verifier, &token_of(HS256, &plain().to_string(), SECRET)).await, Err(Denied::Algorithm));
    let lying = token_of(r#"{"alg":"RS256","kid":"1"}"#, &plain().to_string(), SECRET);
    assert_eq!(ask(&verifier, &lying).await, Err(Denied::Signature));
}

#[tokio::test]
async fn a_set_that_is_too_large_is_not_read() {
    let signer = Signer::new(Algorithm::ES256);
    let issued = Issued::start(&[]).await;
    issued.answers("200 OK", &json!({ "keys": [signer.jwk("1")], "padding": "x".repeat(300 << 10) }).to_string());
    let verifier = verifier(&issued.config(Algorithm::ES256), pace());
    assert_eq!(ask(&verifier, &signer.sign(Some("1"), &plain())).await, Err(Denied::NoKeys));
}
