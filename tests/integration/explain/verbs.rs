//! Asked over HTTP, by an operator or on the command line, of a running node or of a store that nobody holds: it is one
//! explanation.

use edgefeed::world::{Op, RowFact, TableRow, What};
use edgefeed_storage::model::{Id, IdKind};
use serde_json::{Value, json};

use super::place::{Place, ask};

/// What does not depend on when it was asked, nor on whether the store follows Kafka.
fn lasting(mut told: Value) -> Value {
    let fields = told.as_object_mut().unwrap();
    for moving in ["ranked_at", "ranked_posts", "degraded", "score", "explain", "freshness"] {
        fields.remove(moving);
    }
    told
}

/// Posts in the order they were written to the log, and whether they are deleted there.
fn posts_of(place: &Place) -> impl Iterator<Item = (u64, bool)> + '_ {
    place.world.history().filter_map(|fact| match fact.what {
        What::Row(RowFact { op, row: TableRow::Post { id, deleted_at, .. }, .. }) => {
            Some((id.0 as u64, deleted_at.is_some() || op == Op::Delete))
        }
        _ => None,
    })
}

fn id(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_post_is_explained_the_same_wherever_it_is_asked() {
    let place = Place::new(61);
    let node = place.start();
    let client = reqwest::Client::new();
    let viewer = place.world.user(place.world.user_count() - 1);
    let (status, page) = ask(&client, viewer, &place.public("/api/v1/feed?limit=100&explain=1")).await;
    assert_eq!(status, 200, "{page:#}");
    let posts = page["posts"].as_array().unwrap();
    let shown: Vec<u64> = posts.iter().map(|post| id(&post["id"])).collect();
    // The oldest post of the world: nobody's candidate any more.
    let old = posts_of(&place).next().unwrap().0;
    assert!(!shown.contains(&old));
    let cases = [shown[0], shown[shown.len() / 2], old, 987_654_321];
    let user = IdKind::U64.format(viewer);
    let mut told = Vec::new();
    for post in cases {
        let url = place.public(&format!("/api/v1/feed/explain?post_id={post}"));
        let (status, public) = ask(&client, viewer, &url).await;
        assert_eq!(status, 200, "{public:#}");
        let url = place.operators(&format!("/admin/explain?user={user}&post={post}"));
        let operators: Value = client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(lasting(operators), lasting(public.clone()));
        let verb = place.say(&format!("explain --user {user} --post {post} --output json")).json();
        assert_eq!(lasting(verb), lasting(public.clone()));
        told.push(lasting(public));
    }
    assert_eq!(told[0]["stage"], "ranked");
    assert_eq!(told[3]["stage"], "unknown");
    // What is not the reader's to see is told to operators alone.
    let deleted = posts_of(&place).find(|(_, deleted)| *deleted).unwrap().0;
    let (_, public) = ask(&client, viewer, &place.public(&format!("/api/v1/feed/explain?post_id={deleted}"))).await;
    assert_eq!((&public["reason"], &public["author_id"]), (&json!("deleted"), &Value::Null), "{public:#}");
    let url = place.operators(&format!("/admin/explain?user={user}&post={deleted}"));
    let operators: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert!(operators["reason"] == "deleted" && operators["author_id"].is_u64(), "{operators:#}");
    let text = place.say(&format!("explain --user {user} --post {}", cases[0]));
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.out.contains("stage   ranked: 1 by score, place 1 of "), "{}", text.out);
    assert!(text.out.contains("SOURCE") && text.out.contains("freshness"), "{}", text.out);
    assert_eq!(node.terminate().0, Some(0));
    for (post, held) in cases.into_iter().zip(told) {
        let free = place.say(&format!("explain --user {user} --post {post} --output json")).json();
        assert_eq!(lasting(free), held, "the store alone says the same of {post}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_by_name() {
    let place = Place::new(62);
    let node = place.start();
    let client = reqwest::Client::new();
    let (viewer, other) = (Id(1), 2);
    for (query, status, code) in [
        (String::new(), 400, "bad_parameter"),
        ("?post_id=x".to_owned(), 400, "bad_parameter"),
        ("?post_id=1&preset=newest".to_owned(), 400, "bad_parameter"),
        (format!("?post_id=1&user={other}"), 403, "missing_scope"),
    ] {
        let (found, body) = ask(&client, viewer, &place.public(&format!("/api/v1/feed/explain{query}"))).await;
        assert_eq!((found, &body["error"]["code"]), (status, &json!(code)), "{query}: {body:#}");
    }
    let (found, body) = ask(&client, viewer, &place.public("/api/v1/feed?preset=newest")).await;
    assert_eq!((found, &body["error"]["code"]), (400, &json!("bad_parameter")));
    for (verb, code) in [
        ("explain --user x --post 1", 2),
        ("explain --user 1 --post -", 2),
        ("explain --user 1 --post 1 --preset newest", 2),
        ("explain --user 1", 2),
        ("replay", 2),
        ("replay --weights /no/such.toml", 78),
    ] {
        assert_eq!(place.say(verb).code, Some(code), "{verb}");
    }
    drop(node);
}
