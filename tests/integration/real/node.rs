//! `edgefeed serve` as a process of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edgefeed_storage::model::Id;
use serde_json::Value;

use super::place::Place;
use super::reader::{Reader, client};
use super::steps::until;

/// How long a start and a first catch-up may take, where compilers and JVMs share the machine.
const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const SECRET: &str = "the real stack's tests sign with this";

/// A running node; killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    http: String,
    admin: String,
}

impl Node {
    /// Starts a node over the store of this name and waits for its first catch-up.
    pub(crate) async fn ready(place: &Place, store: &str) -> Self {
        Self::ready_with(place, store, &[]).await
    }

    /// The same with further `--set` flags.
    pub(crate) async fn ready_with(place: &Place, store: &str, set: &[&str]) -> Self {
        let mut node = Self::start(place, store, set);
        let serving = until(PATIENCE, async || node.serving()).await;
        let serving = serving.unwrap_or_else(|| panic!("the node does not serve: {}", node.told()));
        let address = |key: &str| format!("http://{}", serving[key].as_str().unwrap());
        (node.http, node.admin) = (address("http"), address("admin"));
        let readyz = format!("{}/readyz", node.admin);
        let ready = async || client().get(&readyz).send().await.ok()?.status().is_success().then_some(());
        let ready = until(PATIENCE, ready).await;
        assert!(ready.is_some(), "the node does not become ready: {}", node.told());
        node
    }

    fn start(place: &Place, store: &str, set: &[&str]) -> Self {
        let file = place.path("edgefeed.toml");
        std::fs::write(&file, configuration(place)).unwrap();
        let log = place.path(&format!("{}.log", uuid::Uuid::new_v4()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgefeed"));
        command.arg("serve").arg("--config").arg(file);
        command.arg("--set").arg(format!("storage.dir={}", place.path(store).display()));
        command.args(set.iter().flat_map(|setting| ["--set", setting]));
        // Nothing but the file and the flags decides.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EDGEFEED__")) {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: child.spawn().unwrap(), log, http: String::new(), admin: String::new() }
    }

    /// The line of the log that names the addresses.
    fn serving(&mut self) -> Option<Value> {
        assert_eq!(self.child.try_wait().unwrap(), None, "the node has ended: {}", self.told());
        let lines = self.told();
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "serving")
    }

    fn told(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// `/status`, or nothing when it does not answer.
    pub(crate) async fn status(&self) -> Option<Value> {
        client().get(format!("{}/status", self.admin)).send().await.ok()?.json().await.ok()
    }

    /// Somebody who reads their feed here.
    pub(crate) fn reader(&self, place: &Place, user: Id) -> Reader {
        Reader::new(&self.http, place.ids, user)
    }

    /// Kills it where it stands, as `kill -9` does.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("the node's log:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// What an operator must write, and no more: everything else stays at its default.
fn configuration(place: &Place) -> String {
    let mut topics = String::new();
    for name in ["events", "posts", "follows", "comments", "likes", "blocks", "users"] {
        topics += &format!("{name} = \"{}\"\n", place.topic(name));
    }
    format!(
        "[node]\nids = \"{ids}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [auth]\nhs256_secret = \"{SECRET}\"\n[kafka]\nbrokers = \"{brokers}\"\nclient_id = \"{name}\"\n\
         [kafka.topics]\n{topics}",
        ids = place.ids.name(),
        brokers = place.stack.kafka,
        name = place.name,
    )
}
