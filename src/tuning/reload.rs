//! The configuration, read once more while the node runs: the ranking changes at once and whole, keys and certificates
//! are read anew, everything else changes with the next start.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::Tuning;
use crate::config::{Config, Inputs, Loaded, load};
use crate::problem::Problem;

/// Keys beside `[ranking]` whose new values are in force at once.
const RENEWED: [&str; 4] =
    ["auth.hs256_secret", "auth.hs256_secret_previous", "auth.public_key_file", "auth.public_key_file_previous"];
/// Keys that decide what the above mean: while one of them waits for a restart, so do those.
const RENEWED_UNDER: [&str; 4] = ["auth.mode", "auth.algorithm", "auth.jwks_url", "auth.jwks_file"];
/// Keys of `[ranking]` that parts are started with.
const NEEDS_RESTART: [&str; 2] = ["ranking.recent_requests", "ranking.trending_refresh_ms"];

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Keys whose new values are in force.
    pub changed: Vec<String>,
    /// Keys that differ from what the node was started with and wait for the next start.
    pub needs_restart: Vec<String>,
    /// Keys and certificates that could not be read anew; those of before stay in use.
    pub not_renewed: Vec<Problem>,
    /// The version of each set of numbers now in force.
    pub weights_versions: BTreeMap<String, String>,
}

/// Why a reload did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The node was not started from sources that could be read again.
    NoSources,
    /// The configuration cannot stand; the old one stays in force.
    Problems(Vec<Problem>),
}

/// Where a running node's configuration came from.
#[derive(Debug)]
pub struct Origin {
    /// The sources.
    pub inputs: Inputs,
    /// What they said at the start.
    pub loaded: Loaded,
}

/// Reads keys and certificates anew.
type Renew = Box<dyn Fn(&Config) -> Result<(), Vec<Problem>> + Send + Sync>;

/// Reads the configuration again.
pub struct Reload {
    origin: Option<Origin>,
    tuning: Arc<Tuning>,
    renew: Renew,
    /// What was read last and could stand. Held over a whole reload: of two at a time the later one must win.
    last: Mutex<Option<Loaded>>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("origin", &self.origin.is_some()).finish_non_exhaustive()
    }
}

impl Reload {
    /// Reloads from an origin, of which the sets in force were made. `renew` reads keys and certificates anew.
    pub fn new(
        origin: Option<Origin>,
        tuning: Arc<Tuning>,
        renew: impl Fn(&Config) -> Result<(), Vec<Problem>> + Send + Sync + 'static,
    ) -> Self {
        Self { origin, tuning, renew: Box::new(renew), last: Mutex::default() }
    }

    /// Reads all sources, checks the whole, and puts the ranking in force. Reads files: call it where that may wait.
    ///
    /// # Errors
    /// [`Refused`]; then nothing has changed.
    pub fn run(&self) -> Result<Reloaded, Refused> {
        let outcome = self.read();
        let result = if outcome.is_ok() { "applied" } else { "refused" };
        metrics::counter!("edgefeed_config_reloads_total", "result" => result).increment(1);
        match &outcome {
            Ok(done) => {
                for problem in &done.not_renewed {
                    tracing::error!(%problem, "not renewed");
                }
                tracing::info!(changed = ?done.changed, needs_restart = ?done.needs_restart, "reloaded");
            }
            Err(Refused::NoSources) => tracing::warn!("nothing to reload from"),
            Err(Refused::Problems(problems)) => {
                for problem in problems {
                    tracing::error!(%problem, "the configuration was not reloaded");
                }
            }
        }
        outcome
    }

    fn read(&self) -> Result<Reloaded, Refused> {
        let origin = self.origin.as_ref().ok_or(Refused::NoSources)?;
        let mut last = self.last.lock();
        let fresh = load(&origin.inputs).map_err(Refused::Problems)?;
        let changed = last.as_ref().unwrap_or(&origin.loaded).differences(&fresh);
        let waits = origin.loaded.differences(&fresh);
        let renews = !RENEWED_UNDER.iter().any(|key| waits.contains(*key));
        let hot = |key: &String| {
            let key = key.as_str();
            key.starts_with("ranking.") && !NEEDS_RESTART.contains(&key) || renews && RENEWED.contains(&key)
        };
        let renewed = if renews { (self.renew)(&fresh.config) } else { Ok(()) };
        self.tuning.replace(&fresh.config.ranking);
        *last = Some(fresh);
        Ok(Reloaded {
            changed: changed.into_iter().filter(hot).collect(),
            needs_restart: waits.into_iter().filter(|key| !hot(key)).collect(),
            not_renewed: renewed.err().unwrap_or_default(),
            weights_versions: self.tuning.sets().versions(),
        })
    }
}

/// Says what the metrics of this module mean; call once after the recorder is installed.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "edgefeed_config_reloads_total",
        "Orders to read the configuration again, by whether it was applied or refused."
    );
    for result in ["applied", "refused"] {
        // There from the start, so that an alert on its rise has something to rise from.
        metrics::counter!("edgefeed_config_reloads_total", "result" => result).increment(0);
    }
}
