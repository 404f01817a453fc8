//! A node as a process over a world in Kafka, with ports that are known and a configuration that can be written anew.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind};
use serde_json::Value;

use crate::crash::broker::Kafka;
use crate::crash::node::{Home, Node, PATIENCE, TIGHT};

/// Between two looks at a node that has no way to call back.
const LOOK: Duration = Duration::from_millis(50);

/// Everything a test of this kind stands on.
pub(crate) struct Place {
    home: Home,
    _kafka: Kafka,
    base: String,
    pub(crate) world: World,
    http: u16,
    admin: u16,
}

/// What a verb said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Place {
    /// A world that ends now, in Kafka.
    pub(crate) fn new(seed: u64) -> Self {
        let world = World::new(WorldConfig { now_ms: now_ms(), ..WorldConfig::small(seed, IdKind::U64) });
        let encoding = Encoding::new(IdKind::U64);
        let mut kafka = Kafka::start();
        for message in world.history().flat_map(|fact| encoding.encode(&fact)) {
            kafka.write(message);
        }
        kafka.flush();
        // Free for now; nothing else of this test asks for one.
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [free(), free()].map(|listener| listener.local_addr().unwrap().port());
        let home = Home::new(&kafka.address(), "", TIGHT);
        let text = std::fs::read_to_string(home.beside("edgefeed.toml")).unwrap();
        let listen = |key: &str, port: u16| format!("{key} = \"127.0.0.1:{port}\"");
        let base = ["http.listen", "admin.listen"]
            .into_iter()
            .zip(ports)
            .fold(text, |text, (key, port)| text.replace(&listen(key, 0), &listen(key, port)));
        // Nobody is turned away: what is asked for here is asked for on a busy machine.
        let base = format!("{base}\n[limits]\nsubject_per_s = 0\nmax_wait_ms = 0\nrequest_timeout_ms = 60000\n");
        let place = Self { home, _kafka: kafka, base, world, http: ports[0], admin: ports[1] };
        place.configure("");
        place
    }

    /// Writes the configuration, with more TOML behind it.
    pub(crate) fn configure(&self, more: &str) {
        std::fs::write(self.home.beside("edgefeed.toml"), format!("{}{more}\n", self.base)).unwrap();
    }

    /// Writes a file beside the store and tells its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.beside(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A node that has applied the world.
    pub(crate) fn start(&self) -> Node {
        let node = self.home.start();
        // It asks on a runtime of its own, and here there may be one already.
        tokio::task::block_in_place(|| {
            node.wait_caught_up();
            wait_for_trending(&node);
        });
        node
    }

    pub(crate) fn store(&self) -> std::path::PathBuf {
        self.home.store()
    }

    /// Runs a verb with this configuration.
    pub(crate) fn say(&self, verb: &str) -> Said {
        let done = Command::new(env!("CARGO_BIN_EXE_edgefeed"))
            .args(verb.split(' '))
            .arg("--config")
            .arg(self.home.beside("edgefeed.toml"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
    }

    /// The URL of a path of the public listener.
    pub(crate) fn public(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// The URL of a path of the admin listener.
    pub(crate) fn operators(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }
}

/// Waits until the trending posts were found among all that is applied now: by a run that ended a whole period later.
fn wait_for_trending(node: &Node) {
    let (now, deadline) = (now_ms() as f64 / 1e3, Instant::now() + PATIENCE);
    let found = || {
        let jobs = node.metric("edgefeed_job_last_success_timestamp_seconds");
        jobs.iter().any(|(labels, at)| labels == "job=\"trending\"" && *at > now + 1.0)
    };
    while !found() {
        assert!(Instant::now() < deadline, "the trending posts are not found");
        std::thread::sleep(LOOK);
    }
}

/// Asks as a reader; the status and the answer.
pub(crate) async fn ask(client: &reqwest::Client, viewer: Id, url: &str) -> (u16, Value) {
    let asked = client.get(url).header("x-user-id", IdKind::U64.format(viewer)).timeout(PATIENCE);
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Orders something of the operators' listener.
pub(crate) async fn order(client: &reqwest::Client, url: &str) -> (u16, Value) {
    let answer = client.post(url).timeout(PATIENCE).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}
