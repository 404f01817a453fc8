//! What must hold of a configuration as a whole.

use super::{Config, Role};
use crate::auth::Mode;
use crate::problem::{Problem, within};

impl Config {
    /// Checks every value and how they fit together.
    ///
    /// # Errors
    /// All problems at once, so that an operator mends them in one go.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        self.node.check(&mut problems);
        self.http.check(&mut problems);
        self.admin.check(&mut problems);
        self.auth.check(&mut problems);
        self.limits.check(&mut problems);
        self.cache.check(&mut problems);
        self.log.check(&mut problems);
        self.spool.check(&mut problems);
        problems.extend(self.kafka.check().iter().map(|line| worded(line)));
        problems.extend(self.ranking.problems().iter().map(|line| worded(line)));
        problems.extend(self.clickhouse.check().iter().map(|line| worded(line)));
        problems.extend(self.sink.check().iter().map(|line| worded(line)));
        self.backup.check(&mut problems);
        problems.extend(self.resync.check().iter().map(|line| worded(line)));
        self.check_center(&mut problems);
        self.fallback.check(&self.postgres, &mut problems);
        self.check_breaker(&mut problems);
        self.check_storage(&mut problems);
        self.check_listeners(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn check_listeners(&self, problems: &mut Vec<Problem>) {
        if self.auth.mode == Mode::None && !self.http.listen.ip().is_loopback() {
            problems.push(Problem::new(
                "auth.mode",
                format!(
                    "\"none\" trusts every caller, and http.listen = {} is reachable from outside",
                    self.http.listen
                ),
                "set auth.mode = \"jwt\", or listen on 127.0.0.1",
            ));
        }
        if self.http.listen == self.admin.listen && self.http.listen.port() != 0 {
            problems.push(Problem::new(
                "admin.listen",
                format!("{} is also http.listen", self.admin.listen),
                "give the two listeners different addresses",
            ));
        }
    }

    fn check_center(&self, problems: &mut Vec<Problem>) {
        if self.node.has(Role::Sink) && !self.clickhouse.is_set() {
            problems.push(Problem::new(
                "clickhouse.url",
                "is not set, and node.roles names \"sink\"",
                "say where ClickHouse is, or leave the role out",
            ));
        }
    }

    fn check_breaker(&self, problems: &mut Vec<Problem>) {
        let breaker = &self.breaker;
        within(problems, "breaker.window_calls", breaker.window_calls, 1, 10_000);
        within(problems, "breaker.window_ms", breaker.window_ms, 100, 3_600_000);
        within(problems, "breaker.min_calls", breaker.min_calls, 1, breaker.window_calls);
        within(problems, "breaker.failure_rate", breaker.failure_rate, 0.01, 1.0);
        within(problems, "breaker.slow_rate", breaker.slow_rate, 0.01, 1.0);
        within(problems, "breaker.open_ms", breaker.open_ms, 10, 600_000);
        within(problems, "breaker.probes_max", breaker.probes_max, 1, 5);
        within(problems, "breaker.probes_needed", breaker.probes_needed, 1, 100);
    }

    fn check_storage(&self, problems: &mut Vec<Problem>) {
        let storage = &self.storage;
        if storage.dir.as_os_str().is_empty() {
            problems.push(Problem::new("storage.dir", "is empty", "name a directory"));
        }
        within(problems, "storage.memory_budget_bytes", storage.memory_budget_bytes, 64 << 20, 1 << 40);
        within(problems, "storage.wal_sync_ms", storage.wal_sync_ms, 1, 60_000);
        within(problems, "storage.tombstone_days", storage.tombstone_days, 14, 3_650);
        within(problems, "storage.dead_letters_max", storage.dead_letters_max, 1, 100_000_000);
        within(problems, "storage.dedup_hours", storage.dedup_hours, 1, 168);
    }
}

/// The parts of a line as other components word it: `key … ; mend`.
fn worded(line: &str) -> Problem {
    let (what, mend) = line.split_once("; ").unwrap_or((line, "see edgefeed.example.toml"));
    let (key, message) = what.split_once([' ', ':']).unwrap_or(("", what));
    Problem::new(key, message.trim(), mend)
}
