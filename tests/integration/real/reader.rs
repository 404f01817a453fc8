//! Somebody who reads their feed over HTTP.

use std::time::{Duration, Instant};

use edgefeed_storage::model::{Id, IdKind};
use reqwest::{Client, Response, StatusCode};
use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::node::SECRET;
use super::steps::{Steps, until};

/// The promise: a change in the database is in the feed within this time.
pub(crate) const VISIBLE_WITHIN: Duration = Duration::from_secs(5);

/// The whole answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    pub(crate) posts: Vec<Post>,
    pub(crate) cursor: Option<String>,
    pub(crate) has_more: bool,
    pub(crate) ranked_at: i64,
    pub(crate) served_from: String,
    pub(crate) degraded: Vec<String>,
    pub(crate) freshness: Freshness,
}

/// One post of it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Post {
    #[serde(deserialize_with = "json_id")]
    pub(crate) id: Id,
    #[serde(deserialize_with = "json_id")]
    pub(crate) author_id: Id,
    pub(crate) created_at: String,
    pub(crate) score: f64,
    pub(crate) sources: Vec<String>,
    pub(crate) like_count: u64,
    pub(crate) comment_count: u64,
    pub(crate) viewer_liked: bool,
    pub(crate) explain: Explain,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Freshness {
    pub(crate) staleness_ms: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Explain {
    pub(crate) freshness: f64,
    pub(crate) engagement: f64,
    pub(crate) affinity: f64,
    pub(crate) weights: Value,
    pub(crate) features: Value,
    pub(crate) rank: usize,
    pub(crate) place: usize,
}

/// A client that speaks to this machine alone.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap()
}

pub(crate) struct Reader {
    client: Client,
    url: String,
    token: String,
}

impl Reader {
    pub(crate) fn new(address: &str, ids: IdKind, user: Id) -> Self {
        let ttl = Duration::from_secs(600);
        let token = edgefeed::auth::demo_token(&SecretString::from(SECRET), &ids.format(user), ttl).unwrap();
        let url = format!("{address}/api/v1/feed?limit=100&explain=1");
        Self { client: client(), url, token }
    }

    /// The answer as it comes, which must be 200.
    pub(crate) async fn ask(&self) -> Response {
        let answer = self.client.get(&self.url).bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    }

    /// The whole feed; tests keep feeds below a page's largest size.
    pub(crate) async fn feed(&self) -> Page {
        let page: Page = self.ask().await.json().await.unwrap();
        assert_eq!((page.has_more, &page.cursor), (false, &None), "the whole feed is one page");
        page
    }

    /// Awaits what was just written: asks until the feed is as it should be, and notes how long that took.
    pub(crate) async fn sees(&self, steps: &Steps, step: &str, expected: impl Fn(&Page) -> bool) -> Page {
        let begun = Instant::now();
        let mut last = None;
        let seen = until(VISIBLE_WITHIN, async || {
            let page = last.insert(self.feed().await);
            expected(page).then(|| page.clone())
        });
        let Some(page) = seen.await else { panic!("{step}: not visible within {VISIBLE_WITHIN:?}: {last:#?}") };
        steps.note(step, begun.elapsed());
        page
    }
}

impl Page {
    pub(crate) fn post(&self, post: Id) -> Option<&Post> {
        self.posts.iter().find(|shown| shown.id == post)
    }

    pub(crate) fn has(&self, post: Id) -> bool {
        self.post(post).is_some()
    }

    /// Whether these posts stand there and no others, in whatever order.
    pub(crate) fn is(&self, posts: &[Id]) -> bool {
        self.posts.len() == posts.len() && posts.iter().all(|post| self.has(*post))
    }
}

/// Strictly: a string is a UUID, a number a 64-bit id.
fn json_id<'de, D: Deserializer<'de>>(value: D) -> Result<Id, D::Error> {
    let id = match Value::deserialize(value)? {
        Value::String(text) => IdKind::Uuid.parse(&text),
        Value::Number(number) => number.as_u64().map(|number| Id(u128::from(number))),
        _ => None,
    };
    id.ok_or_else(|| D::Error::custom("not an id"))
}
