//! An issuer that rotates its keys, is away, and is attacked through the node.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::keys::{Pair, claims, with};
use super::{House, until};

/// The least time between two questions of a node to its issuer.
const PAUSE: Duration = Duration::from_secs(10);

/// A web server with a JWKS.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    away: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn start(keys: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
        let issuer = Self { url, keys: Arc::new(Mutex::new(keys)), away: Arc::default(), asked: Arc::default() };
        let (keys, away, asked) = (Arc::clone(&issuer.keys), Arc::clone(&issuer.away), Arc::clone(&issuer.asked));
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                asked.fetch_add(1, Ordering::SeqCst);
                if away.load(Ordering::SeqCst) {
                    continue;
                }
                let body = json!({ "keys": *keys.lock() }).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                drop(stream.read(&mut [0; 4_096]));
                drop(stream.write_all(format!("{head}{body}").as_bytes()));
            }
        });
        issuer
    }

    /// A node that takes its tokens, from whoever asks however often.
    fn house(&self) -> House {
        let url = &self.url;
        House::open(|_| format!("limits.subject_per_s = 0\n[auth]\nalgorithm = \"ES256\"\njwks_url = \"{url}\""))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[test]
fn keys_rotate_while_the_node_serves_and_stay_believed_while_the_issuer_is_away() {
    let (old, new, next) = (Pair::elliptic(), Pair::elliptic(), Pair::elliptic());
    let issuer = Issuer::start(vec![old.jwk("old")]);
    let house = issuer.house();
    let of_old = old.sign(Some("old"), &claims());
    assert_eq!(house.feed(&of_old, "").status, 200);

    // Rotation: the first token under the new key has the keys read again, once the pause is over.
    *issuer.keys.lock() = vec![new.jwk("new")];
    let of_new = new.sign(Some("new"), &claims());
    until("the new key is taken", || house.feed(&of_new, "").status == 200);
    assert!(house.feed(&of_old, "").is(401, "unauthorized"), "the removed key went with it");
    assert!(house.count("edgefeed_auth_failures_total", "reason=\"unknown_key\"") >= 1.0);

    // The issuer away, and a flood of tokens under keys that nobody has.
    issuer.away.store(true, Ordering::SeqCst);
    let (begun, asked) = (Instant::now(), issuer.asked());
    while begun.elapsed() < PAUSE + Duration::from_secs(2) {
        let stranger = next.sign(Some(&format!("forged {:?}", begun.elapsed())), &claims());
        assert!(house.feed(&stranger, "").is(401, "unauthorized"));
        let fresh = new.sign(Some("new"), &with("number", json!(begun.elapsed().as_nanos().to_string())));
        assert_eq!(house.feed(&fresh, "").status, 200, "a token never seen, under the key read last");
    }
    let most = 2 + usize::try_from(begun.elapsed().as_secs() / PAUSE.as_secs()).unwrap();
    let asked = issuer.asked() - asked;
    assert!(asked <= most, "the issuer was asked {asked} times in {:?}", begun.elapsed());
    assert!(house.count("edgefeed_jwks_fetches_total", "outcome=\"failed\"") >= 1.0);

    // It is back, with another key; the operator does not wait.
    *issuer.keys.lock() = vec![new.jwk("new"), next.jwk("next")];
    issuer.away.store(false, Ordering::SeqCst);
    house.reload();
    let of_next = next.sign(Some("next"), &claims());
    until("the next key is taken", || house.feed(&of_next, "").status == 200);
    assert_eq!(house.feed(&of_new, "").status, 200);
    house.close();
}

#[test]
fn a_node_that_starts_without_its_issuer_says_so_and_finds_it() {
    let pair = Pair::elliptic();
    let issuer = Issuer::start(vec![pair.jwk("1")]);
    issuer.away.store(true, Ordering::SeqCst);
    let house = issuer.house();
    let token = pair.sign(Some("1"), &claims());
    let answer = house.feed(&token, "");
    assert!(answer.is(503, "unavailable"), "not the caller's fault: {} {}", answer.status, answer.code);
    assert_eq!(answer.retry_after, Some(1));
    issuer.away.store(false, Ordering::SeqCst);
    until("the issuer is found", || house.feed(&token, "").status == 200);
    assert!(house.close().contains("cannot be read"), "the log says why");
}
