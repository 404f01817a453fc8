//! Both over HTTP, from a node that follows Kafka: right as soon as it is ready, in the shape that the document tells.

use std::time::Duration;

use edgefeed::auth::demo_token;
use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind};
use secrecy::SecretString;
use serde_json::Value;

use crate::log::history;
use crate::oracle::{Oracle, OracleWindow};
use crate::real::steps::until;
use crate::spine::{SECRET, Spine};

const PATIENCE: Duration = Duration::from_secs(60);

async fn get(spine: &Spine, path: &str, user: Option<&str>) -> (u16, Value) {
    let url = format!("http://{}{path}", spine.node.http);
    let mut request = reqwest::Client::new().get(url).timeout(PATIENCE);
    if let Some(user) = user {
        let secret = SecretString::from(SECRET);
        request = request.bearer_auth(demo_token(&secret, user, Duration::from_secs(60)).unwrap());
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn ids(list: &Value, name: &str) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|entry| entry[name].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn trending_posts_and_suggested_users_come_over_http_as_the_formula_says() {
    let kind = IdKind::U64;
    let world = World::new(WorldConfig { now_ms: now_ms(), ..WorldConfig::small(46, kind) });
    let log = history(&world, &Encoding::new(kind));
    let spine = Spine::start(kind, &log).await;
    let mut oracle = Oracle::new(kind, 0);
    let folded_at = now_ms();
    log.iter().for_each(|record| oracle.fold(record, folded_at));
    let viewer = world.user(world.user_count() - 1);
    let user = kind.format(viewer);

    // The job finds what was written within a second or so.
    let shown = until(PATIENCE, async || {
        let (status, page) = get(&spine, "/api/v1/feed/trending?window=7d&limit=100", Some(&user)).await;
        assert_eq!(status, 200);
        let ranked_at = page["ranked_at"].as_i64().unwrap();
        let listed = oracle.trending(OracleWindow::Week, ranked_at).into_iter().map(|(id, _)| id);
        let allowed = listed.filter(|id| oracle.left_out_of_trending(viewer, *id, ranked_at).is_none());
        let expected: Vec<u64> = allowed.take(100).map(|id| u64::try_from(id.0).unwrap()).collect();
        (ids(&page["posts"], "id") == expected && expected.len() == 100).then_some(page)
    });
    let page = shown.await.expect("the formula's page");
    assert_eq!((&page["window"], &page["has_more"]), (&Value::from("7d"), &Value::from(true)));

    let (status, found) = get(&spine, "/api/v1/discover/suggested-users?limit=50", Some(&user)).await;
    assert_eq!(status, 200);
    let expected: Vec<(Id, Vec<Id>)> = oracle.suggested(viewer, found["as_of"].as_i64().unwrap());
    let expected: Vec<_> = expected.into_iter().take(50).collect();
    let number = |id: &Id| u64::try_from(id.0).unwrap();
    assert_eq!(ids(&found["users"], "id"), expected.iter().map(|(id, _)| number(id)).collect::<Vec<_>>());
    for (found, (_, friends)) in found["users"].as_array().unwrap().iter().zip(&expected) {
        let reason = &found["reason"];
        assert_eq!(
            (&reason["kind"], reason["mutual_count"].as_u64()),
            (&"mutual_follows".into(), Some(friends.len() as u64))
        );
        let named: Vec<u64> = friends.iter().take(3).map(number).collect();
        assert_eq!(reason["mutual_ids"], serde_json::json!(named));
    }
    assert!(!expected.is_empty());

    for path in ["/api/v1/feed/trending", "/api/v1/discover/suggested-users"] {
        assert_eq!(get(&spine, path, None).await.0, 401, "{path} is for readers");
        let (status, error) = get(&spine, &format!("{path}?limit=0"), Some(&user)).await;
        assert_eq!((status, &error["error"]["code"]), (400, &"bad_parameter".into()));
    }
    assert_eq!(get(&spine, "/api/v1/feed/trending?window=2h", Some(&user)).await.0, 400);
    assert_eq!(get(&spine, "/openapi.json", None).await.1["openapi"], "3.1.0");
    spine.node.stop().await.unwrap();
}
