//! The `[log]` section: what is written to standard error.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::problem::Problem;

/// The `[log]` section.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or directives such as `info,edgefeed=debug`.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".to_owned() }
    }
}

impl LogConfig {
    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        if let Err(error) = EnvFilter::try_new(&self.level) {
            problems.push(Problem::new(
                "log.level",
                format!("{:?} is not a level ({error})", self.level),
                "use error, warn, info, debug or trace, or directives such as info,edgefeed=debug",
            ));
        }
    }
}
