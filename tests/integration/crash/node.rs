//! The real binary as a process: started, asked over HTTP, told to stop, killed.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a slow machine; nothing waits for it to pass where all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a node that has no way to call back.
const LOOK: Duration = Duration::from_millis(20);

/// For `storage`: the least memory there may be, so that memtables are written out while a test runs.
pub(crate) const TIGHT: &str = "memory_budget_bytes = 67108864";
/// For `storage`: enough memory for all that a test writes to stay in the write-ahead log alone.
pub(crate) const ROOMY: &str = "memory_budget_bytes = 1073741824";

/// A place for a node: its configuration and its store.
#[derive(Debug)]
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// For nodes that read from `brokers`, with more TOML for the sections `kafka` and `storage`.
    pub(crate) fn new(brokers: &str, kafka: &str, storage: &str) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.configure(brokers, kafka, storage);
        home
    }

    /// Writes the configuration of the next start.
    pub(crate) fn configure(&self, brokers: &str, kafka: &str, storage: &str) {
        let store = self.store();
        let text = format!(
            r#"
            node.ids = "u64"
            http.listen = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            auth.mode = "none"
            [kafka]
            brokers = "{brokers}"
            topics.blocks = "cdc.blocks"
            topics.users = "cdc.users"
            watermark_poll_ms = 50
            metadata_refresh_ms = 500
            {kafka}
            [storage]
            dir = "{}"
            {storage}
            "#,
            store.display()
        );
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// A path beside the store, for copies of it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("edgefeed.toml")
    }

    pub(crate) fn start(&self) -> Node {
        Node::start(&self.config())
    }
}

/// A running node. Killed when dropped.
pub(crate) struct Node {
    child: Child,
    lines: Receiver<String>,
    /// What it has logged, as far as somebody read it.
    log: RefCell<Vec<String>>,
}

impl Node {
    /// With this configuration file.
    pub(crate) fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_edgefeed"))
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        // Ends with the process: its end closes the pipe, and the channel with it.
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, log: RefCell::default() }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and nothing left of it when this returns.
    pub(crate) fn kill(mut self) {
        // A node that ended by itself would make the whole test a show.
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "ended by itself, {ended:?}:\n{}", self.words());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns the exit code and the whole log.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success(), "the node cannot be told to stop:\n{}", self.words());
        assert!(self.wait_for_line(|_| false).is_none(), "still there after {PATIENCE:?}:\n{}", self.words());
        (self.child.wait().unwrap().code(), self.words())
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let told = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Waits for a line of the log that comes from now on, by its message.
    pub(crate) fn wait_for_message(&self, message: &str) -> Value {
        let of = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|line| line["message"] == message);
        let line = self.wait_for_line(|line| of(line).is_some());
        line.and_then(|line| of(&line)).unwrap_or_else(|| panic!("ended without {message:?}:\n{}", self.words()))
    }

    /// The admin listener, once it listens.
    pub(crate) fn admin(&self) -> String {
        self.listener("admin")
    }

    /// The public listener, once it listens.
    pub(crate) fn public(&self) -> String {
        self.listener("http")
    }

    fn listener(&self, name: &str) -> String {
        let address = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            if line["message"] == "serving" { Some(line[name].as_str()?.to_owned()) } else { None }
        };
        let known = self.log.borrow().iter().find_map(|line| address(line));
        known
            .or_else(|| address(&self.wait_for_line(|line| address(line).is_some())?))
            .unwrap_or_else(|| panic!("it does not serve:\n{}", self.words()))
    }

    /// Waits for a line of the log; `None` when it ended without.
    fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log.borrow_mut().push(line.clone());
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("nothing for {PATIENCE:?}:\n{}", self.words()),
            }
        }
    }

    /// Everything it has logged so far.
    pub(crate) fn words(&self) -> String {
        let mut log = self.log.borrow_mut();
        log.extend(self.lines.try_iter());
        log.join("\n")
    }

    fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.admin());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            reqwest::Client::new().get(&url).timeout(PATIENCE).send().await?.error_for_status()?.text().await
        });
        answer.unwrap_or_else(|error| panic!("{url}: {error}:\n{}", self.words()))
    }

    /// Everything it counts, as Prometheus reads it.
    pub(crate) fn exposition(&self) -> String {
        self.get("/metrics")
    }

    /// `/status` about following Kafka.
    pub(crate) fn ingest(&self) -> Value {
        let status: Value = serde_json::from_str(&self.get("/status")).unwrap();
        status["ingest"].clone()
    }

    /// Waits until everything that stood in Kafka when it first asked is applied.
    pub(crate) fn wait_caught_up(&self) -> Value {
        self.wait_until("to have caught up", |ingest| ingest["caught_up"] == true)
    }

    /// Waits for a state of following Kafka.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ingest = self.ingest();
            if is_so(&ingest) {
                return ingest;
            }
            assert!(Instant::now() < deadline, "waited in vain for it {what}: {ingest:#}\n{}", self.words());
            std::thread::sleep(LOOK);
        }
    }

    /// The samples of a metric: the text between the braces, and the value.
    pub(crate) fn metric(&self, name: &str) -> Vec<(String, f64)> {
        let exposition = self.exposition();
        let of_metric = exposition.lines().filter_map(|line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            let whole_name = labels.is_empty() || labels.starts_with('{');
            whole_name.then(|| (labels.trim_matches(['{', '}']).to_owned(), value.parse().unwrap()))
        });
        of_metric.collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Only after a failure is it still there.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
