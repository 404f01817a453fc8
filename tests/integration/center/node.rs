//! A node with its own store and its own way to ClickHouse: the real binary, started, frozen, killed, asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::log::{Ids, Source};
use crate::real::steps::until;

/// How long a start, a first catch-up or a drain may take, where compilers and JVMs share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a node is told to be; everything else stays at its default.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ids: Ids,
    pub(crate) cluster: String,
    pub(crate) brokers: String,
    /// What the topics' names begin with.
    pub(crate) topics: String,
    pub(crate) roles: &'static str,
    /// Where ClickHouse is found.
    pub(crate) url: String,
    pub(crate) database: String,
    pub(crate) group: String,
    /// More of the file: section, key, value.
    pub(crate) more: BTreeMap<(&'static str, &'static str), String>,
}

impl Settings {
    fn toml(&self, store: &str, http: u16, admin: u16) -> String {
        let quoted = |text: &str| format!("\"{text}\"");
        let mut sections: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
        let mut set = |section, key, value| drop(sections.entry(section).or_default().insert(key, value));
        set("node", "ids", quoted(self.ids.name()));
        set("node", "roles", self.roles.to_owned());
        set("node", "cluster", quoted(&self.cluster));
        set("http", "listen", format!("\"127.0.0.1:{http}\""));
        set("admin", "listen", format!("\"127.0.0.1:{admin}\""));
        set("auth", "mode", quoted("none"));
        set("kafka", "brokers", quoted(&self.brokers));
        set("kafka", "watermark_poll_ms", "100".to_owned());
        set("kafka", "metadata_refresh_ms", "1000".to_owned());
        for source in Source::ALL {
            set("kafka.topics", source.name(), format!("\"{}{}\"", self.topics, source.name()));
        }
        set("storage", "dir", quoted(store));
        set("storage", "memory_budget_bytes", "134217728".to_owned());
        set("clickhouse", "url", quoted(&self.url));
        set("clickhouse", "database", quoted(&self.database));
        set("sink", "group", quoted(&self.group));
        for ((section, key), value) in &self.more {
            set(section, key, value.clone());
        }
        let section = |(name, keys): (&&str, &BTreeMap<&str, String>)| {
            let keys: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("[{name}]\n{keys}")
        };
        sections.iter().map(section).collect()
    }
}

/// A node's place: its configuration, its store, its log, whether it runs or not.
pub(crate) struct Node {
    pub(crate) settings: Settings,
    dir: tempfile::TempDir,
    pub(crate) http: u16,
    admin: u16,
    child: Option<Child>,
    client: reqwest::Client,
}

impl Node {
    /// A place with an empty store; nothing runs yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { settings, dir, http: free_port(), admin: free_port(), child: None, client }
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("edgefeed.toml")
    }

    /// Where it keeps its state.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn command(&self) -> Command {
        let text = self.settings.toml(&self.store().display().to_string(), self.http, self.admin);
        std::fs::write(self.config(), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgefeed"));
        // Nothing but the file decides.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EDGEFEED__")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts it over the store it has; does not wait.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = self.command();
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let child = command.arg("serve").arg("--config").arg(self.config()).stdout(Stdio::null()).stderr(log);
        self.child = Some(child.spawn().unwrap());
    }

    /// Waits for the first catch-up of this start.
    pub(crate) async fn ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.admin);
        let deadline = Instant::now() + PATIENCE;
        while !self.client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            self.must_run();
            assert!(Instant::now() < deadline, "it does not become ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub(crate) async fn start_ready(&mut self) {
        self.start();
        self.ready().await;
    }

    /// A node that ended by itself would make the whole test a show.
    pub(crate) fn must_run(&mut self) {
        let Some(child) = &mut self.child else { panic!("it was not started") };
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself, {ended:?}:\n{}", self.log());
    }

    /// SIGKILL, and nothing left of it when this returns.
    pub(crate) fn kill(&mut self) {
        self.must_run();
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; waits for its end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.must_run();
        self.signal("TERM");
        let mut child = self.child.take().unwrap();
        let ended = until(PATIENCE, async || child.try_wait().unwrap()).await;
        if ended.is_none() {
            drop(child.kill());
        }
        ended.unwrap_or_else(|| panic!("still there {PATIENCE:?} after SIGTERM:\n{}", self.log()))
    }

    /// SIGSTOP: it keeps every socket and does nothing.
    pub(crate) fn freeze(&mut self) {
        self.must_run();
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let Some(child) = &self.child else { return };
        let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "SIG{name} could not be sent");
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("node.log")
    }

    /// Everything it has logged, over all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// `/status`, or nothing when it does not answer.
    pub(crate) async fn status(&self) -> Option<Value> {
        self.client.get(format!("http://127.0.0.1:{}/status", self.admin)).send().await.ok()?.json().await.ok()
    }

    /// Whether it has applied everything before these offsets.
    pub(crate) async fn applied(&self, ends: &BTreeMap<(Source, u32), i64>) -> bool {
        let Some(status) = self.status().await else { return false };
        let topics = &status["ingest"]["topics"];
        ends.iter().all(|((source, partition), end)| {
            let next = &topics[source.name()]["partitions"][partition.to_string()]["next_offset"];
            next.as_i64().unwrap_or_default() >= *end
        })
    }

    /// The samples of a metric: the text between the braces, and the value. Nothing while it does not answer.
    pub(crate) async fn metric(&self, name: &str) -> Vec<(String, f64)> {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin);
        let Ok(answer) = self.client.get(url).send().await else { return Vec::new() };
        let text = answer.text().await.unwrap_or_default();
        let of_metric = text.lines().filter_map(|line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            let whole_name = labels.is_empty() || labels.starts_with('{');
            whole_name.then(|| (labels.trim_matches(['{', '}']).to_owned(), value.parse().unwrap()))
        });
        of_metric.collect()
    }

    /// A metric's samples added up.
    pub(crate) async fn sum(&self, name: &str) -> f64 {
        self.metric(name).await.iter().map(|(_, value)| value).sum()
    }

    /// The stalls there are now: labels of `sink_stalled` whose value is not 0.
    pub(crate) async fn stalls(&self) -> Vec<String> {
        let samples = self.metric("edgefeed_sink_stalled").await;
        samples.into_iter().filter(|(_, value)| *value > 0.0).map(|(labels, _)| labels).collect()
    }

    /// A reader's feed: status and body.
    pub(crate) async fn feed(&self, user: &str) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}/api/v1/feed?limit=20", self.http);
        let answer = self.client.get(url).header("X-User-Id", user).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Another verb of the binary with this node's configuration: whether it was well, and what it printed.
    pub(crate) fn verb(&self, words: &[&str]) -> (bool, String) {
        let done = self.command().args(words).arg("--config").arg(self.config()).output().unwrap();
        let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (done.status.success(), text)
    }

    /// Another verb, begun and not waited for; its output is to be read at its end.
    pub(crate) fn begin_verb(&self, words: &[&str]) -> Child {
        let mut command = self.command();
        let verb = command.args(words).arg("--config").arg(self.config()).stdout(Stdio::piped()).stderr(Stdio::null());
        verb.spawn().unwrap()
    }

    /// The same where failing is failing.
    pub(crate) fn must(&self, words: &[&str]) -> String {
        let (well, text) = self.verb(words);
        assert!(well, "edgefeed {words:?}: {text}\nthe node's log:\n{}", tail(&self.log()));
        text
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            // Past the harness, which would show only the last of several nodes in order.
            drop(writeln!(std::io::stderr(), "a node's log ends:\n{}", tail(&self.log())));
        }
    }
}

/// The end of a log, enough to see what it was about.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A port nobody listens on, outside the range that outgoing connections take theirs from.
fn free_port() -> u16 {
    loop {
        let port = 18_000 + (uuid::Uuid::new_v4().as_u128() % 12_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
