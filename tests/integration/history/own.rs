//! A ClickHouse of one test's own, in the zone it wants.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Stopped when dropped.
pub(super) struct Own {
    dir: PathBuf,
    pub(super) url: String,
}

impl Own {
    pub(super) fn clickhouse(zone: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("edgefeed-{}", uuid::Uuid::new_v4().simple()));
        let mut own = Self { dir, url: String::new() };
        own.stack(&["up", "", "clickhouse", "--owner", &std::process::id().to_string()]).unwrap();
        own.stack(&["clickhouse-start", "", "--tz", zone]).unwrap();
        let told = std::fs::read_to_string(own.dir.join("env")).unwrap();
        let url = told.lines().find_map(|line| line.strip_prefix("EDGEFEED_TEST_CLICKHOUSE="));
        own.url = url.unwrap().trim_matches(['\'', '"']).to_owned();
        own
    }

    /// A verb of `tests/stack/stack`; the empty word stands for this stack's directory.
    fn stack(&self, words: &[&str]) -> Result<(), String> {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/stack"));
        // A server named by the environment would be used instead of one of our own.
        command.env_remove("EDGEFEED_TEST_CLICKHOUSE");
        for word in words {
            if word.is_empty() {
                command.arg(&self.dir)
            } else {
                command.arg(word)
            };
        }
        let done = command.output().map_err(|error| error.to_string())?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(why) = self.stack(&["down", ""]) {
            eprintln!("stack down: {why}");
        }
    }
}
