//! How a verb fails.

use std::io::Write;
use std::process::ExitCode;

use crate::problem::Problem;

/// Exit code of anything that did not work out.
const FAILED: u8 = 1;
/// Exit code of a command line that cannot be read.
pub(crate) const USAGE: u8 = 2;
/// Exit code of a configuration that cannot stand (`EX_CONFIG` of sysexits.h).
const CONFIG: u8 = 78;

/// Why a verb did not do what it was asked: an exit code, and one line each of what, where and the mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    /// Something did not work out (1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, lines: vec![message.into()] }
    }

    /// The command line asks for something that cannot be (2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, lines: vec![message.into()] }
    }

    /// The configuration cannot stand (78).
    pub fn config(problems: &[Problem]) -> Self {
        Self { code: CONFIG, lines: problems.iter().map(ToString::to_string).collect() }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Writes the lines to standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        for line in &self.lines {
            // Should standard error be gone, the exit code still tells.
            drop(writeln!(stderr, "edgefeed: {}", line.replace(['\n', '\r'], " ")));
        }
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Failure {}
