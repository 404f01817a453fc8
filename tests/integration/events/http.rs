//! A reader who posts and reads, over HTTP.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// Far above what any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client of one node without authentication: users are named by a header.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    base: String,
}

/// What a post came to.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Posted {
    /// The position of a request that was taken whole.
    pub(super) fn position(&self, accepted: usize) -> String {
        assert_eq!((self.status.as_u16(), &self.body["rejected"]), (202, &json!([])), "{}", self.body);
        assert_eq!(self.body["accepted"], accepted, "{}", self.body);
        self.body["position"].as_str().unwrap().to_owned()
    }

    /// The code of an error, and its whole shape.
    pub(super) fn code(&self) -> &str {
        let error = self.body["error"].as_object().unwrap_or_else(|| panic!("no error: {}", self.body));
        assert_eq!(self.body.as_object().unwrap().len(), 1);
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "request_id"]);
        error["code"].as_str().unwrap()
    }
}

impl Http {
    pub(super) fn of(port: u16) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { client, base: format!("http://127.0.0.1:{port}/api/v1") }
    }

    /// Posts a body as it is; `None` when the node is not there to answer.
    pub(super) async fn try_raw(&self, user: u128, media_type: &str, body: Vec<u8>) -> Option<Posted> {
        let request = self.client.post(format!("{}/events", self.base)).header("X-User-Id", user.to_string());
        let answer = request.header("Content-Type", media_type).body(body).send().await.ok()?;
        let status = answer.status();
        Some(Posted { status, body: answer.json().await.ok()? })
    }

    pub(super) async fn raw(&self, user: u128, media_type: &str, body: impl Into<Vec<u8>>) -> Posted {
        self.try_raw(user, media_type, body.into()).await.expect("an answer")
    }

    pub(super) async fn try_post(&self, user: u128, events: &[Value]) -> Option<Posted> {
        let body = serde_json::to_vec(&json!({ "events": events })).unwrap();
        self.try_raw(user, "application/json", body).await
    }

    pub(super) async fn post(&self, user: u128, events: &[Value]) -> Posted {
        self.try_post(user, events).await.expect("an answer")
    }

    /// A page: its status and its body.
    pub(super) async fn feed(&self, user: u128, query: &str) -> (u16, Value) {
        let url = format!("{}/feed?limit=100&explain=1&{query}", self.base);
        let answer = self.client.get(url).header("X-User-Id", user.to_string()).send().await.unwrap();
        assert!(answer.headers().contains_key("x-request-id"));
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// The ids of a page's posts.
pub(super) fn shown(page: &Value) -> Vec<u128> {
    let posts = page["posts"].as_array().unwrap_or_else(|| panic!("no page: {page}"));
    posts.iter().map(|post| u128::from(post["id"].as_u64().unwrap())).collect()
}

/// The engagement a page tells of a post.
pub(super) fn engagement(page: &Value, post: u128) -> Option<f64> {
    let posts = page["posts"].as_array().unwrap_or_else(|| panic!("no page: {page}"));
    let shown = posts.iter().find(|shown| shown["id"].as_u64().map(u128::from) == Some(post))?;
    shown["explain"]["engagement"].as_f64()
}

/// The affinity a page tells of an author.
pub(super) fn affinity(page: &Value, author: u128) -> Option<f64> {
    let posts = page["posts"].as_array().unwrap_or_else(|| panic!("no page: {page}"));
    let shown = posts.iter().find(|shown| shown["author_id"].as_u64().map(u128::from) == Some(author))?;
    shown["explain"]["affinity"].as_f64()
}
