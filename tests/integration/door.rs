//! The door is safe to open: who is let in, who is not, and what a crowd does to those who are in.
//!
//! The node is the real binary in a process of its own.

mod crowd;
mod issuer;
mod keys;
mod overload;
mod refused;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::crash::broker::Kafka;
use crate::crash::node::{Node, PATIENCE};

/// A node whose door a test configures.
struct House {
    node: Node,
    dir: tempfile::TempDir,
    runtime: Runtime,
    client: Client,
    _kafka: Kafka,
}

/// What a node answered.
struct Answer {
    status: u16,
    code: String,
    retry_after: Option<u64>,
}

impl House {
    /// With more TOML, made knowing the directory its files may stand in, and an empty world.
    fn open(more: impl FnOnce(&Path) -> String) -> Self {
        Self::open_over(Kafka::start(), more)
    }

    /// With what stands in Kafka.
    fn open_over(kafka: Kafka, more: impl FnOnce(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (brokers, store, more) = (kafka.address(), dir.path().join("store"), more(dir.path()));
        let text = format!(
            r#"
            node.ids = "u64"
            http.listen = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            storage.dir = "{}"
            kafka.brokers = "{brokers}"
            kafka.topics.blocks = "cdc.blocks"
            kafka.topics.users = "cdc.users"
            {more}
            "#,
            store.display()
        );
        std::fs::write(config(&dir), text).unwrap();
        let node = Node::start(&config(&dir));
        node.wait_caught_up();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { node, dir, runtime, client: Client::new(), _kafka: kafka }
    }

    /// Asks for a feed with this token.
    fn feed(&self, token: &str, query: &str) -> Answer {
        self.ask(self.get(&format!("/api/v1/feed{query}")).header("authorization", format!("Bearer {token}")))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.node.public())).timeout(PATIENCE)
    }

    fn ask(&self, request: RequestBuilder) -> Answer {
        self.runtime.block_on(async { Answer::read(request.send().await.unwrap()).await })
    }

    /// A counter's value, 0 where it never counted.
    fn count(&self, metric: &str, label: &str) -> f64 {
        self.node.metric(metric).into_iter().filter(|(labels, _)| labels.contains(label)).map(|(_, value)| value).sum()
    }

    /// Tells it to read its configuration and files anew.
    fn reload(&self) {
        let url = format!("http://{}/admin/reload", self.node.admin());
        let (status, text) = self.runtime.block_on(async {
            let answer = self.client.post(url).timeout(PATIENCE).send().await.unwrap();
            (answer.status(), answer.text().await.unwrap())
        });
        assert!(status.is_success(), "{text}");
    }

    /// Memory in use, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.node.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Stops well, and gives everything that was logged.
    fn close(self) -> String {
        let (code, words) = self.node.terminate();
        assert_eq!(code, Some(0), "{words}");
        words
    }
}

fn config(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("edgefeed.toml")
}

impl Answer {
    async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        let body: Value = response.json().await.unwrap();
        if status >= 400 {
            // The one shape, whole.
            let error = body["error"].as_object().unwrap();
            assert_eq!((body.as_object().unwrap().len(), error.len()), (1, 3), "{body}");
            assert!(["code", "message", "request_id"].iter().all(|name| error[*name].is_string()), "{body}");
        }
        let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
        Self { status, code, retry_after }
    }

    fn is(&self, status: u16, code: &str) -> bool {
        (self.status, self.code.as_str()) == (status, code)
    }
}

/// Tries until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
