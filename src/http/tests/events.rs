//! `POST /api/v1/events` from outside.

use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edgefeed_storage::model::{Id, IdKind};
use secrecy::SecretString;
use serde_json::json;

use super::{Answer, Server};
use crate::auth::{self, Auth, Caller, demo_token};
use crate::events::{BadPosition, PostError, Rejected};
use crate::http::limits::Config;
use crate::http::{Door, Services, routes};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ALICE: &str = "00000000-0000-0000-0000-0000000000a1";

/// A server whose door answers as the body says, and what came through it.
struct Edge {
    server: Server,
    posted: Arc<Mutex<Vec<(Caller, Bytes)>>>,
}

impl Edge {
    async fn start() -> Self {
        let posted = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&posted);
        let config = auth::Config { hs256_secret: SecretString::from(SECRET), ..auth::Config::default() };
        let door = Arc::new(Door::new(Auth::new(&config, IdKind::Uuid).unwrap(), &Config::default()));
        let services = Services {
            door,
            ids: IdKind::Uuid,
            page: Arc::new(|_, _| Box::pin(pending())),
            trending: Arc::new(|_, _| Box::pin(pending())),
            suggested: Arc::new(|_, _| Box::pin(pending())),
            explain: Arc::new(|_, _| Box::pin(pending())),
            forget: Arc::new(|_, _| 0),
            events: Arc::new(move |caller, body, _| {
                seen.lock().unwrap().push((caller, body.clone()));
                Box::pin(ready(match body.as_ref() {
                    b"full" => Err(PostError::Full),
                    b"theirs" => Err(PostError::NotYours),
                    b"bad" => {
                        Err(PostError::AllBad("no event can be taken: events[0] bad_id: `post_id` is 1".to_owned()))
                    }
                    b"broken" => Err(PostError::Body("the body cannot be read: EOF".to_owned())),
                    _ => Ok(answer()),
                }))
            }),
            position: Arc::new(|_| Box::pin(ready(Err(BadPosition)))),
            max_body_bytes: 1_024,
        };
        Self { server: Server::start(Config::default(), routes(&services)).await, posted }
    }

    async fn post(&self, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head =
            format!("POST /api/v1/events HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}");
        self.server.ask(&head).await
    }

    fn count(&self) -> usize {
        self.posted.lock().unwrap().len()
    }
}

fn answer() -> crate::events::Answer {
    let rejected = vec![Rejected { index: 1, code: "bad_value", message: "`action` is \"wave\"".to_owned() }];
    crate::events::Answer { accepted: 2, rejected, position: "AQAB".to_owned(), spooled: false }
}

fn token() -> String {
    let token = demo_token(&SecretString::from(SECRET), ALICE, Duration::from_secs(60)).unwrap();
    format!("authorization: Bearer {token}\r\n")
}

fn json_of(more: &str) -> String {
    format!("{}content-type: application/json{more}\r\n", token())
}

#[tokio::test]
async fn events_are_answered_202_with_what_was_taken_what_was_not_and_a_position() {
    let edge = Edge::start().await;
    for more in ["", "; charset=utf-8", ";charset=UTF-8"] {
        let answer = edge.post(&json_of(more), r#"{"events":[]}"#).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let expected = json!({
            "accepted": 2, "position": "AQAB", "spooled": false,
            "rejected": [{ "index": 1, "code": "bad_value", "message": "`action` is \"wave\"" }],
        });
        assert_eq!(answer.json(), expected);
    }
    let (caller, body) = edge.posted.lock().unwrap()[0].clone();
    assert_eq!((caller.user, body.as_ref()), (Id(0xa1), &br#"{"events":[]}"#[..]));
}

#[tokio::test]
async fn what_cannot_be_taken_is_an_error_of_the_one_shape() {
    let edge = Edge::start().await;
    for (body, status, code) in [
        ("full", 503, "spool_full"),
        ("theirs", 403, "missing_scope"),
        ("bad", 400, "bad_events"),
        ("broken", 400, "bad_request"),
    ] {
        let answer = edge.post(&json_of(""), body).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{body}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{body}");
    }
}

#[tokio::test]
async fn nothing_is_read_of_a_stranger_of_another_type_or_of_too_much() {
    let edge = Edge::start().await;
    let typed = "content-type: application/json\r\n";
    let answer = edge.post(typed, "{}").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "unauthorized"));
    let gzip = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    for wrong in ["", gzip, "content-type: text/plain\r\n", "content-type: application/jsonp\r\n"] {
        let answer = edge.post(&format!("{}{wrong}", token()), "{}").await;
        assert_eq!((answer.status, answer.error_code().as_str()), (415, "unsupported_media_type"), "{wrong}");
    }
    let answer = edge.post(&json_of(""), &" ".repeat(1_025)).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"));
    assert_eq!(edge.count(), 0);
    let answer = edge.server.get("/api/v1/events").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}
