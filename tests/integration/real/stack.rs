//! The stack that `tests/run.sh` starts, or another one its environment tells of.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than any test keeps a lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// PostgreSQL, Kafka and Debezium.
pub(crate) struct Stack {
    dir: PathBuf,
    /// Kafka's address.
    pub(crate) kafka: String,
}

impl Stack {
    /// The stack; where there is none the promise goes unproved, which is said, and is a failure in CI.
    pub(crate) fn or_unproved(promise: &str) -> Option<Self> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(name.to_owned());
        let found = given("EDGEFEED_TEST_POSTGRES")
            .and_then(|_| given("EDGEFEED_TEST_CONNECT"))
            .and_then(|_| Ok(Self { dir: given("EDGEFEED_TEST_STACK")?.into(), kafka: given("EDGEFEED_TEST_KAFKA")? }));
        match found {
            Ok(stack) => Some(stack),
            Err(missing) => {
                unproved(promise, &format!("{missing} is not set; `make test` starts the real stack"));
                None
            }
        }
    }

    /// The same for promises that need no more than PostgreSQL.
    pub(crate) fn with_postgres_or_unproved(promise: &str) -> Option<Self> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match given("EDGEFEED_TEST_POSTGRES").and_then(|_| given("EDGEFEED_TEST_STACK")) {
            Some(dir) => Some(Self { dir: dir.into(), kafka: given("EDGEFEED_TEST_KAFKA").unwrap_or_default() }),
            None => {
                unproved(promise, "EDGEFEED_TEST_POSTGRES or EDGEFEED_TEST_STACK is not set; `make test` starts them");
                None
            }
        }
    }

    /// Runs a verb of `tests/stack/stack`; what it printed.
    pub(crate) fn run(&self, verb: &str, words: &[&str]) -> String {
        self.attempt(verb, words).unwrap_or_else(|why| panic!("stack {verb} {words:?}: {why}"))
    }

    /// The same where a failure is no reason to fail.
    pub(crate) fn attempt(&self, verb: &str, words: &[&str]) -> Result<String, String> {
        let program = repository().join("tests/stack/stack");
        output(Command::new(program).arg(verb).arg(&self.dir).args(words))
    }

    /// Asks Kafka something the stack has no verb for; what it answered.
    pub(crate) fn ask_kafka(&self, words: &[&str]) -> String {
        self.try_kafka(words).unwrap_or_else(|why| panic!("kafka.py {words:?}: {why}"))
    }

    /// The same where a failure is no reason to fail.
    pub(crate) fn try_kafka(&self, words: &[&str]) -> Result<String, String> {
        let script = repository().join("tests/integration/real/kafka.py");
        output(Command::new("python3").arg(script).arg(&self.kafka).args(words))
    }

    /// Holds back the tests that take Kafka away, as long as the file lives.
    pub(crate) fn while_kafka_stays(&self) -> File {
        lock(&self.dir.join("kafka-stays.lock"), File::try_lock_shared)
    }

    /// Kafka for this test alone, as long as the file lives.
    pub(crate) fn kafka_for_me(&self) -> File {
        lock(&self.dir.join("kafka-stays.lock"), File::try_lock)
    }

    /// One test at a time: roles belong to the whole server, and two at once cannot change one.
    pub(crate) fn while_setting_up(&self) -> File {
        lock(&self.dir.join("setup.lock"), File::try_lock)
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| error.to_string())?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    String::from_utf8(done.stdout).map_err(|error| error.to_string())
}

pub(crate) fn lock(path: &Path, attempt: impl Fn(&File) -> Result<(), std::fs::TryLockError>) -> File {
    let file = File::options().create(true).append(true).open(path).unwrap();
    let deadline = Instant::now() + LOCK_PATIENCE;
    while attempt(&file).is_err() {
        assert!(Instant::now() < deadline, "{} stayed locked", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    file
}

pub(crate) fn unproved(promise: &str, why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "without proof: {promise}: {why}");
    println!("NOT PROVED HERE: {promise}: {why}");
    if let Some(list) = std::env::var_os("EDGEFEED_TEST_UNPROVED") {
        let mut list = File::options().create(true).append(true).open(list).unwrap();
        writeln!(list, "{promise}: {why}").unwrap();
    }
}
