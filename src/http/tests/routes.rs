//! `GET /api/v1/feed` from outside.

use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind};
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use secrecy::SecretString;
use serde_json::json;

use super::{Answer, Server};
use crate::auth::{self, Auth, demo_token};
use crate::events::{BadPosition, PostError};
use crate::feed::JsonTime;
use crate::feed::page::{Algo, FeedError, FeedPage, FeedRequest, Freshness, JsonId, PagePost, ServedFrom};
use crate::http::limits::Config;
use crate::http::{Door, PageFuture, Services, routes};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ALICE: &str = "00000000-0000-0000-0000-0000000000a1";
const BOB: &str = "00000000-0000-0000-0000-0000000000b0";

/// A server with a feed of one post, and the requests the feed was asked for.
struct Edge {
    server: Server,
    asked: Arc<Mutex<Vec<FeedRequest>>>,
    /// Whose pinned pages were dropped.
    forgot: Arc<Mutex<Vec<Id>>>,
}

impl Edge {
    async fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let page = move |request: FeedRequest, now_ms: i64| -> PageFuture {
            seen.lock().unwrap().push(request.clone());
            let page = match request.cursor.as_deref() {
                Some("down") => Err(FeedError::Unavailable("/var/lib/edgefeed: No such file".to_owned())),
                Some(_) => Err(FeedError::BadCursor),
                None => Ok(one_post(now_ms)),
            };
            Box::pin(ready(page))
        };
        let config = auth::Config { hs256_secret: SecretString::from(SECRET), ..auth::Config::default() };
        let forgot = Arc::new(Mutex::new(Vec::new()));
        let forgetting = Arc::clone(&forgot);
        let door = Arc::new(Door::new(Auth::new(&config, IdKind::Uuid).unwrap(), &Config::default()));
        let services = Services {
            door,
            ids: IdKind::Uuid,
            page: Arc::new(page),
            trending: Arc::new(|_, _| Box::pin(pending())),
            suggested: Arc::new(|_, _| Box::pin(pending())),
            explain: Arc::new(|_, _| Box::pin(pending())),
            forget: Arc::new(move |viewer, _| {
                forgetting.lock().unwrap().push(viewer);
                2
            }),
            events: Arc::new(|_, _, _| Box::pin(ready(Err(PostError::Internal)))),
            position: Arc::new(|text| {
                Box::pin(ready(match text.as_str() {
                    "there" => Ok(true),
                    "not-yet" => Ok(false),
                    _ => Err(BadPosition),
                }))
            }),
            max_body_bytes: 1_024,
        };
        Self { server: Server::start(Config::default(), routes(&services)).await, asked, forgot }
    }

    async fn invalidate(&self, query: &str, authorization: &str) -> Answer {
        let path = format!("/api/v1/feed/invalidate{query}");
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n{authorization}\r\n\r\n");
        self.server.ask(&head).await
    }

    async fn get(&self, query: &str, token: &str) -> Answer {
        let head = format!("GET /api/v1/feed{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        self.server.ask(&head).await
    }

    fn last(&self) -> FeedRequest {
        self.asked.lock().unwrap().last().cloned().expect("the feed was asked")
    }
}

fn one_post(now_ms: i64) -> FeedPage {
    let post = PagePost {
        id: JsonId(IdKind::Uuid, Id(1)),
        author_id: JsonId(IdKind::Uuid, Id(2)),
        created_at: JsonTime(1_795_370_400_000),
        score: 0.8123046875,
        sources: &["followed"],
        like_count: 12,
        comment_count: 3,
        viewer_liked: false,
        explain: None,
    };
    FeedPage {
        posts: vec![post],
        cursor: None,
        has_more: false,
        ranked_at: now_ms,
        served_from: ServedFrom::Local,
        degraded: Vec::new(),
        freshness: Freshness {
            applied_through: None,
            staleness_ms: Some(180),
            affinity_as_of: None,
            weights_version: "1".to_owned(),
        },
    }
}

fn alice() -> String {
    demo_token(&SecretString::from(SECRET), ALICE, Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn a_page_says_when_the_callers_own_writes_are_not_in_it() {
    let edge = Edge::start().await;
    let degraded = |answer: &Answer| answer.json()["degraded"].clone();
    for query in ["", "?min_position=", "?min_position=there"] {
        assert_eq!(degraded(&edge.get(query, &alice()).await), json!([]), "{query}");
    }
    let answer = edge.get("?min_position=not-yet", &alice()).await;
    assert_eq!((answer.status, degraded(&answer)), (200, json!(["position_not_reached"])));
    for query in ["?min_position=garbage", "?min_position=there&min_position=there"] {
        let answer = edge.get(query, &alice()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_parameter"), "{query}");
    }
}

#[tokio::test]
async fn a_page_comes_with_its_source_and_age_and_is_nobody_elses() {
    let edge = Edge::start().await;
    let answer = edge.get("", &alice()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-feed-source"), Some("local"));
    assert_eq!(answer.header("x-feed-staleness-ms"), Some("180"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["posts"][0]["score"], 0.8123046875);
    assert_eq!(body["served_from"], "local");
    assert!(body["ranked_at"].as_i64().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn what_is_asked_reaches_the_feed() {
    let edge = Edge::start().await;
    edge.get("", &alice()).await;
    let asked = edge.last();
    assert_eq!((asked.viewer, asked.limit, asked.algo, asked.explain), (Id(0xa1), 20, Algo::Ranked, false));
    assert!(!asked.refresh);
    edge.get("?limit=7&algo=time&explain=1&refresh=1&cursor=abc&utm_source=x", &alice()).await;
    let asked = edge.last();
    assert!(asked.refresh);
    assert_eq!((asked.limit, asked.algo, asked.explain, asked.cursor.as_deref()), (7, Algo::Time, true, Some("abc")));
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_400_and_says_what_may_stand() {
    let edge = Edge::start().await;
    for query in [
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=1&limit=1",
        "algo=best",
        "algo=",
        "explain=yes",
        "refresh=2",
        "user=me",
        "user=17",
        "algo=%zz",
    ] {
        let answer = edge.get(&format!("?{query}"), &alice()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_parameter"), "{query}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        let name = query.split('=').next().unwrap();
        assert!(message.contains(name) || query.contains('%'), "{query}: {message}");
    }
    assert!(edge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_400() {
    let edge = Edge::start().await;
    for cursor in ["forged", &"a".repeat(3_000)] {
        let answer = edge.get(&format!("?cursor={cursor}"), &alice()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_cursor"));
    }
}

#[tokio::test]
async fn a_feed_nobody_can_answer_is_503_and_tells_nothing_of_the_inside() {
    let edge = Edge::start().await;
    let answer = edge.get("?cursor=down", &alice()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("/var"));
}

#[tokio::test]
async fn without_a_valid_token_there_is_401_and_a_challenge() {
    let edge = Edge::start().await;
    let answer = edge.server.get("/api/v1/feed").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "unauthorized"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let answer = edge.get("", "not.a.token").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "unauthorized"));
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    assert!(edge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_users_feed_needs_the_scope() {
    let edge = Edge::start().await;
    let answer = edge.get(&format!("?user={BOB}"), &alice()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "missing_scope"));
    assert!(edge.asked.lock().unwrap().is_empty());
    assert_eq!(edge.get(&format!("?user={ALICE}"), &alice()).await.status, 200, "one's own needs none");

    let claims = json!({ "sub": ALICE, "exp": get_current_timestamp() + 60, "scope": "openid feed:any" });
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    assert_eq!(edge.get(&format!("?user={BOB}"), &token).await.status, 200);
    assert_eq!(edge.last().viewer, Id(0xb0));
}

#[tokio::test]
async fn pinned_pages_are_dropped_for_the_caller_alone() {
    let edge = Edge::start().await;
    let authorization = format!("authorization: Bearer {}\r\n", alice());
    let answer = edge.invalidate("", &authorization).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "dropped": 2 })));
    assert_eq!(*edge.forgot.lock().unwrap(), [Id(0xa1)]);
    let answer = edge.invalidate("", "").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "unauthorized"));
    let answer = edge.invalidate(&format!("?user={BOB}"), &authorization).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "missing_scope"));
    let answer = edge.server.get("/api/v1/feed/invalidate").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(edge.forgot.lock().unwrap().len(), 1);
}
