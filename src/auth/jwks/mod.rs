//! A JWKS: keys that the issuer publishes, adds and removes. One task follows it; requests only ever wait for that task.
//!
//! While the issuer is away the keys that were read last stay believed, for `auth.jwks_max_stale_s` at most.

mod parse;
mod source;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

pub(super) use parse::keys;
pub(super) use source::{MAX_BYTES, Source, checked};

use super::config::Config;
use super::keys::Keys;
use crate::clock::now_ms;

/// Requests that wait for the issuer at once; more of them are refused as they come, so that a flood of tokens under
/// keys that nobody has holds nothing up.
const WAITING_MAX: usize = 64;

/// How often the issuer is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Keys are read anew before they are this old.
    pub(super) max_age: Duration,
    /// Keys that could not be read anew are believed no longer than this.
    pub(super) max_stale: Duration,
    /// The least time between two reads, whoever asks for them and however they end.
    pub(super) pause: Duration,
    /// How long a request waits for a read.
    pub(super) patience: Duration,
}

impl Pace {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            max_age: Duration::from_secs(config.jwks_max_age_s),
            max_stale: Duration::from_secs(config.jwks_max_stale_s),
            pause: Duration::from_secs(10),
            patience: source::READ_TIMEOUT,
        }
    }
}

/// What the task is at.
#[derive(Clone, Copy, Debug)]
struct Progress {
    reading: bool,
    /// When the last read began.
    begun: Instant,
    /// How many have ended.
    ended: u64,
}

/// The task that follows a JWKS; it ends with this value.
#[derive(Debug)]
pub(super) struct Follower {
    task: JoinHandle<()>,
    wake: Arc<Notify>,
    progress: watch::Receiver<Progress>,
    waiting: Semaphore,
    pace: Pace,
}

impl Follower {
    pub(super) fn start(source: Source, config: Config, pace: Pace, keys: Arc<ArcSwap<Keys>>) -> Self {
        let wake = Arc::new(Notify::new());
        // The first read begins with the task.
        let (told, progress) = watch::channel(Progress { reading: true, begun: Instant::now(), ended: 0 });
        let follow = Follow { source, config, pace, keys, told, digest: None, good: None };
        let task = tokio::spawn(follow.run(Arc::clone(&wake)));
        Self { task, wake, progress, waiting: Semaphore::new(WAITING_MAX), pace }
    }

    /// Has the JWKS read as soon as it may be.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns after a read that is under way or may begin now, at once where none may.
    pub(super) async fn ask(&self) {
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let mut progress = self.progress.clone();
        let seen = *progress.borrow_and_update();
        if !seen.reading {
            if seen.begun.elapsed() < self.pace.pause {
                return;
            }
            self.wake();
        }
        // Whether it came in time shows in the keys.
        drop(timeout(self.pace.patience, progress.wait_for(|now| now.ended > seen.ended)).await);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task itself.
struct Follow {
    source: Source,
    config: Config,
    pace: Pace,
    keys: Arc<ArcSwap<Keys>>,
    told: watch::Sender<Progress>,
    /// Of the JWKS that the keys are from.
    digest: Option<[u8; 32]>,
    /// When it was last read.
    good: Option<Instant>,
}

impl Follow {
    async fn run(mut self, wake: Arc<Notify>) {
        loop {
            let begun = Instant::now();
            self.told.send_modify(|now| (now.reading, now.begun) = (true, begun));
            let outcome = self.read().await;
            let rest = match &outcome {
                Ok(()) => self.renewal(),
                Err(_) => self.pace.pause,
            };
            self.note(outcome);
            self.told.send_modify(|now| (now.reading, now.ended) = (false, now.ended + 1));
            sleep_until(begun + self.pace.pause).await;
            tokio::select! {
                () = sleep_until(begun + rest) => {}
                () = wake.notified() => {}
            }
        }
    }

    async fn read(&mut self) -> Result<(), String> {
        let bytes = self.source.read().await?;
        let digest = Sha256::digest(&bytes).into();
        if self.digest != Some(digest) {
            let keys = keys(&bytes, self.config.algorithm)?;
            metrics::gauge!("edgefeed_jwks_keys").set(f64::from(u32::try_from(keys.len()).unwrap_or(u32::MAX)));
            tracing::info!(keys = keys.len(), "the issuer's keys have changed");
            self.keys.store(Arc::new(Keys::new(&self.config, keys)));
            self.digest = Some(digest);
        }
        self.good = Some(Instant::now());
        Ok(())
    }

    fn note(&mut self, outcome: Result<(), String>) {
        let label = if outcome.is_ok() { "ok" } else { "failed" };
        metrics::counter!("edgefeed_jwks_fetches_total", "outcome" => label).increment(1);
        let Err(error) = outcome else {
            #[allow(clippy::cast_precision_loss, reason = "a gauge is a double")]
            metrics::gauge!("edgefeed_jwks_last_success_timestamp_seconds").set(now_ms() as f64 / 1_000.0);
            return;
        };
        let too_old = self.good.is_some_and(|good| good.elapsed() > self.pace.max_stale);
        if too_old && self.digest.take().is_some() {
            self.keys.store(Arc::new(Keys::new(&self.config, Vec::new())));
            metrics::gauge!("edgefeed_jwks_keys").set(0.0);
        }
        let state = match (self.digest, self.good) {
            (Some(_), _) => "those read last stay believed",
            (None, None) => "there are none yet, so no token is taken",
            (None, Some(_)) => "those read last are too old, so no token is taken",
        };
        tracing::warn!(error, "the issuer's keys cannot be read; {state}");
    }

    /// When to read again: before the keys are too old, and not at the same moment as every other node.
    fn renewal(&self) -> Duration {
        let spread = u32::try_from(uuid::Uuid::new_v4().as_u128() % 200).unwrap_or(0);
        self.pace.max_age * (700 + spread) / 1_000
    }
}
