//! A node in this process, asked over HTTP.

use std::time::Duration;

use edgefeed::auth::demo_token;
use edgefeed::config::Config;
use edgefeed::node::Node;
use edgefeed_storage::model::{Id, IdKind};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::real::reader::client;

const SECRET: &str = "a secret of at least thirty-two bytes";
/// Where nothing listens: port 1 belongs to nobody.
pub(super) const NOWHERE: &str = "127.0.0.1:1";

pub(super) struct Edge {
    _dir: tempfile::TempDir,
    pub(super) node: Node,
    ids: IdKind,
}

/// An answer to a request for a page.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Edge {
    /// A node with an empty store that follows `brokers` and may fall back to `postgres` (none when empty).
    pub(super) async fn start(ids: IdKind, brokers: &str, postgres: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.node.ids = ids;
        config.http.listen.set_port(0);
        config.admin.listen.set_port(0);
        config.auth.hs256_secret = SecretString::from(SECRET);
        config.storage.dir = dir.path().join("store");
        config.kafka.brokers = brokers.to_owned();
        config.kafka.request_timeout_ms = 200;
        config.kafka.watermark_poll_ms = 50;
        config.postgres.url = SecretString::from(postgres);
        change(&mut config);
        let node = Node::start(config, PrometheusBuilder::new().build_recorder().handle()).await.unwrap();
        Self { _dir: dir, node, ids }
    }

    pub(super) async fn page(&self, viewer: Id, query: &str) -> Answer {
        let token = demo_token(&SecretString::from(SECRET), &self.ids.format(viewer), Duration::from_secs(60)).unwrap();
        let url = format!("http://{}/api/v1/feed?{query}", self.node.http);
        let answer = client().get(url).bearer_auth(token).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.json().await.unwrap() }
    }

    /// What an operator reads at a path of the admin listener, whatever the status.
    pub(super) async fn told(&self, path: &str) -> Value {
        client().get(format!("http://{}{path}", self.node.admin)).send().await.unwrap().json().await.unwrap()
    }

    /// An operator's word over a breaker's head.
    pub(super) async fn force(&self, dependency: &str, force: &str) {
        let url = format!("http://{}/admin/breaker", self.node.admin);
        let order = json!({ "dependency": dependency, "force": force });
        let answer = client().post(url).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{order}");
    }

    pub(super) async fn breaker(&self, dependency: &str) -> String {
        self.told("/admin/breaker").await[dependency]["state"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    /// A page from this source, with these marks and no others.
    #[track_caller]
    pub(super) fn is_from(&self, source: &str, marks: &[&str]) {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.headers["x-feed-source"], source, "{self:?}");
        assert_eq!(self.body["served_from"], source);
        let mut found: Vec<&str> =
            self.body["degraded"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, marks, "{self:?}");
    }

    pub(super) fn ids(&self, kind: IdKind) -> Vec<Id> {
        let text = |id: &Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let posts = self.body["posts"].as_array().unwrap_or_else(|| panic!("no page: {self:?}"));
        posts.iter().map(|post| kind.parse(&text(&post["id"])).unwrap()).collect()
    }

    /// The next page's cursor; none at the end.
    pub(super) fn cursor(&self) -> Option<&str> {
        assert_eq!(self.body["has_more"], self.body["cursor"].is_string(), "{self:?}");
        self.body["cursor"].as_str()
    }
}
