//! The OpenAPI document and the node say the same: thousands of requests that the document allows and forbids, made up
//! by schemathesis, are each answered as the document says, and none with a fault of the node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind};
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use crate::crash::dice::{Dice, times};
use crate::log::history;
use crate::real::stack::unproved;
use crate::spine::{SECRET, Spine};

/// With so many requests there are some of each kind.
const CASES: usize = 100;

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Somebody who may do everything.
fn token(user: &str) -> String {
    let scope = "feed:any events:any";
    let claims = json!({ "sub": user, "exp": get_current_timestamp() + 3_600, "scope": scope });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

async fn answers_are_the_document(ids: IdKind) {
    let promise = "every answer is what the OpenAPI document says";
    let installed = Command::new(script("venv.sh")).arg("schemathesis").output().unwrap();
    if !installed.status.success() {
        unproved(promise, &format!("schemathesis: {}", String::from_utf8_lossy(&installed.stderr)));
        return;
    }
    let world = World::new(WorldConfig { now_ms: now_ms(), ..WorldConfig::small(12, ids) });
    let spine = Spine::start(ids, &history(&world, &Encoding::new(ids))).await;
    let (address, user) = (format!("http://{}", spine.node.http), reader(&world, ids));
    let (cases, dice) = (times("EDGEFEED_CASES", CASES), Dice::of_run());
    let seed = (dice.seed % 1_000_000).to_string();
    let asked = tokio::task::spawn_blocking(move || {
        let words = [&address, &token(&user), &cases.to_string(), &seed];
        Command::new(script("schemathesis/run.sh")).args(words).output().unwrap()
    });
    let done = asked.await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}\n{}", String::from_utf8_lossy(&done.stderr));
    let asked: usize = told.lines().last().unwrap().parse().unwrap();
    let reached: BTreeMap<&str, usize> = told.lines().filter_map(reached).collect();
    eprintln!("{asked} requests with {} ids, each answered as the document says: {reached:#?}", ids.name());
    assert!(asked >= cases);
    for operation in operations(ids) {
        assert!(reached.contains_key(operation.as_str()), "nothing asked for {operation}: {reached:?}");
    }
    spine.node.stop().await.unwrap();
}

/// An operation and how many requests reached it.
fn reached(line: &str) -> Option<(&str, usize)> {
    let (operation, count) = line.strip_prefix("reached\t")?.split_once('\t')?;
    Some((operation, count.parse().ok()?))
}

/// Every operation of the document.
fn operations(ids: IdKind) -> Vec<String> {
    let document: Value = serde_json::from_str(&edgefeed::openapi::text(ids)).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

/// One with a full page.
fn reader(world: &World, ids: IdKind) -> String {
    let user: Id = world.user(world.user_count() - 1);
    ids.format(user)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_what_the_document_says_with_uuids() {
    answers_are_the_document(IdKind::Uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_what_the_document_says_with_integers() {
    answers_are_the_document(IdKind::U64).await;
}
