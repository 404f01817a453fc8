//! Public keys in PEM files: each algorithm, its confusions, rotation.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::signer::Signer;
use super::{HS256, USER, ask_as, ask_at, auth, later, plain, token_of};
use crate::auth::{Algorithm, Config, Denied};
use crate::clock::now_ms;

const ASYMMETRIC: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn config(dir: &tempfile::TempDir, signer: &Signer) -> Config {
    let public_key_file = file(dir, "public.pem", &signer.public_pem());
    Config { algorithm: signer.algorithm, public_key_file, ..Config::default() }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    config.check(&mut problems);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn each_algorithm_takes_its_own_tokens_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let signers = ASYMMETRIC.map(Signer::new);
    for own in &signers {
        let config = config(&dir, own);
        assert_eq!(problems(&config), Vec::<String>::new());
        assert!(ask_as(&config, &own.sign(None, &plain())).is_ok(), "{:?}", own.algorithm);
        assert!(ask_as(&config, &own.sign(Some("any"), &plain())).is_ok(), "a file's key has no name");
        let stranger = Signer::new(own.algorithm).sign(None, &plain());
        assert_eq!(ask_as(&config, &stranger), Err(Denied::Signature));
        for other in signers.iter().filter(|other| other.algorithm != own.algorithm) {
            assert_eq!(ask_as(&config, &other.sign(None, &plain())), Err(Denied::Algorithm));
        }
        let none = token_of(r#"{"alg":"none"}"#, &plain().to_string(), "");
        assert_eq!(ask_as(&config, &none), Err(Denied::Algorithm));
    }
}

/// The classic: the public key is public, so whoever takes it for a secret of HMAC takes forged tokens.
#[test]
fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in ASYMMETRIC {
        let signer = Signer::new(algorithm);
        let config = config(&dir, &signer);
        let pem = signer.public_pem();
        for secret in [pem.as_str(), pem.trim_end()] {
            assert_eq!(ask_as(&config, &token_of(HS256, &plain().to_string(), secret)), Err(Denied::Algorithm));
            let lying = format!(r#"{{"alg":"{}"}}"#, algorithm.name());
            assert_eq!(ask_as(&config, &token_of(&lying, &plain().to_string(), secret)), Err(Denied::Signature));
        }
    }
}

#[test]
fn a_key_that_a_token_brings_itself_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (own, thief) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let config = config(&dir, &own);
    let forged = thief.sign(None, &plain());
    let header = json!({ "alg": "ES256", "jwk": thief.jwk("x"), "jku": "https://thief.example/jwks.json" }).to_string();
    let (_, rest) = forged.split_once('.').unwrap();
    let header = base64::Engine::encode(&super::URL_SAFE_NO_PAD, header);
    assert_eq!(ask_as(&config, &format!("{header}.{rest}")), Err(Denied::Signature));
}

#[test]
fn two_keys_are_believed_while_tokens_move_and_a_reload_takes_the_old_one_away() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::new(Algorithm::EdDSA), Signer::new(Algorithm::EdDSA));
    let mut config = config(&dir, &new);
    config.public_key_file_previous = file(&dir, "previous.pem", &old.public_pem());
    let auth = auth(&config);
    let (of_old, of_new) = (old.sign(None, &plain()), new.sign(None, &plain()));
    assert!(ask_at(&auth, &of_old, now_ms()).is_ok() && ask_at(&auth, &of_new, now_ms()).is_ok());
    config.public_key_file_previous = PathBuf::new();
    auth.reload(&config).unwrap();
    assert_eq!(ask_at(&auth, &of_old, now_ms()), Err(Denied::Signature), "though it was verified before");
    assert!(ask_at(&auth, &of_new, now_ms()).is_ok());
    let elsewhere = Config { algorithm: Algorithm::RS256, jwks_url: "https://id.example".to_owned(), ..config.clone() };
    for waits in [elsewhere, Config { algorithm: Algorithm::EdDSA, jwks_url: "x".to_owned(), ..config.clone() }] {
        auth.reload(&waits).unwrap();
        assert!(ask_at(&auth, &of_new, now_ms()).is_ok(), "another algorithm or source waits for the next start");
    }
    file(&dir, "public.pem", "nothing");
    assert!(auth.reload(&config).is_err());
    assert!(ask_at(&auth, &of_new, now_ms()).is_ok(), "a reload that fails changes nothing");
}

#[test]
fn a_remembered_token_is_held_to_the_clock_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new(Algorithm::ES256);
    let auth = auth(&config(&dir, &signer));
    let exp = later();
    let token = signer.sign(None, &json!({ "sub": USER, "exp": exp }));
    let at = |second: u64| ask_at(&auth, &token, i64::try_from(second * 1_000).unwrap()).err();
    assert_eq!((at(exp), at(exp)), (None, None));
    assert_eq!(at(exp + 31), Some(Denied::Expired));
    // A token that was refused is not remembered as good.
    let expired = signer.sign(None, &json!({ "sub": USER, "exp": exp - 10_000 }));
    assert_eq!((0..2).map(|_| ask_at(&auth, &expired, now_ms()).err()).collect::<Vec<_>>(), [Some(Denied::Expired); 2]);
}

#[test]
fn an_altered_token_is_refused_after_the_true_one_was_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new(Algorithm::RS256);
    let auth = auth(&config(&dir, &signer));
    let token = signer.sign(None, &plain());
    assert!(ask_at(&auth, &token, now_ms()).is_ok());
    let claims = |value: &Value| base64::Engine::encode(&super::URL_SAFE_NO_PAD, value.to_string());
    let parts: Vec<_> = token.split('.').collect();
    let altered = format!("{}.{}.{}", parts[0], claims(&json!({ "sub": "8", "exp": later() })), parts[2]);
    assert_eq!(ask_at(&auth, &altered, now_ms()), Err(Denied::Signature));
    for cut in [token.len() - 1, token.len() - 4, token.len() / 2] {
        assert!(ask_at(&auth, &token[..cut], now_ms()).is_err());
    }
}

#[test]
fn keys_that_cannot_work_are_found_before_a_port_opens() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new(Algorithm::ES256);
    let good = config(&dir, &signer);
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        problems(&config).join("\n")
    };
    let wrong_kind = with(&|config| config.algorithm = Algorithm::RS256);
    assert!(wrong_kind.contains("auth.public_key_file") && wrong_kind.contains("RS256"), "{wrong_kind}");
    assert!(with(&|config| config.public_key_file = dir.path().join("missing.pem")).contains("missing.pem"));
    assert!(with(&|config| config.public_key_file = PathBuf::new()).contains("auth.public_key_file: is not set"));
    assert!(with(&|config| config.jwks_url = "https://id.example/jwks".to_owned()).contains("keep one of them"));
    let mut jwks = good.clone();
    jwks.public_key_file = PathBuf::new();
    for (url, wrong) in [
        ("https://id.example/jwks", false),
        ("http://127.0.0.1:8000/jwks", false),
        ("http://[::1]/jwks", false),
        ("http://id.example/jwks", true),
        ("file:///etc/passwd", true),
        ("id.example", true),
    ] {
        jwks.jwks_url = url.to_owned();
        assert_eq!(!problems(&jwks).is_empty(), wrong, "{url}: {:?}", problems(&jwks));
    }
    jwks.jwks_url = String::new();
    jwks.jwks_file = file(&dir, "jwks.json", &json!({ "keys": [signer.jwk("a")] }).to_string());
    assert_eq!(problems(&jwks), Vec::<String>::new());
    jwks.algorithm = Algorithm::EdDSA;
    assert!(problems(&jwks).join("").contains("no key of EdDSA"), "{:?}", problems(&jwks));
    let secret_and_key = with(&|config| {
        config.algorithm = Algorithm::HS256;
        config.hs256_secret = "0123456789abcdef0123456789abcdef".into();
    });
    assert!(secret_and_key.contains("HS256"), "{secret_and_key}");
}

/// Why tokens are remembered: what a reader's next request costs, against its first, in one run.
#[test]
fn a_remembered_token_costs_a_fraction_of_its_first_check() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in ASYMMETRIC {
        let signer = Signer::new(algorithm);
        let config = config(&dir, &signer);
        let forgetful = auth(&Config { token_cache_max: 0, ..config.clone() });
        let (remembering, token) = (auth(&config), signer.sign(None, &plain()));
        let time = |gate: &crate::auth::Auth| {
            let start = std::time::Instant::now();
            for _ in 0..2_000 {
                ask_at(gate, &token, now_ms()).unwrap();
            }
            start.elapsed() / 2_000
        };
        let (each, again) = (time(&forgetful), time(&remembering));
        eprintln!("{algorithm:?}: {each:?} a check, {again:?} remembered");
        assert!(again * 2 < each, "{algorithm:?}: {each:?} a check, {again:?} remembered");
    }
}
