//! How often one party may ask: a rate for each key, in memory that does not grow with the number of keys.

mod address;
mod network;

#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

pub use address::{Asker, Peer, Proxies};
pub use network::{Network, NetworkError};

/// Keys a limiter remembers at once. Of more, those not seen for longest are forgotten, which gives each of them a full
/// burst again.
const KEYS_MAX: u64 = 100_000;
/// A key that asked for nothing this long has its full burst back under any quota that can be configured, so it need not
/// be remembered.
const IDLE: Duration = Duration::from_secs(120);

/// Limits each key to a rate with a burst (GCRA).
pub struct Limiter<K> {
    limit: Option<Limit<K>>,
}

struct Limit<K> {
    quota: Quota,
    clock: DefaultClock,
    keys: Cache<K, Arc<DefaultDirectRateLimiter>>,
    by: &'static str,
}

impl<K> std::fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("on", &self.limit.is_some()).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Limiter<K> {
    /// So many a second, and so many at once after a rest; 0 a second: no limit. `by` is the label in metrics.
    pub fn new(by: &'static str, per_s: u32, burst: u32) -> Self {
        Self::with_keys(by, per_s, burst, KEYS_MAX)
    }

    fn with_keys(by: &'static str, per_s: u32, burst: u32, keys_max: u64) -> Self {
        let limit = NonZeroU32::new(per_s).map(|per_s| Limit {
            quota: Quota::per_second(per_s).allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)),
            clock: DefaultClock::default(),
            // The least recently seen goes first: a key that is new must count from its first request on.
            keys: Cache::builder()
                .max_capacity(keys_max)
                .time_to_idle(IDLE)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            by,
        });
        Self { limit }
    }

    /// Takes one request of a key.
    ///
    /// # Errors
    /// Whole seconds after which there is room for one, when there is none now.
    pub fn take(&self, key: K) -> Result<(), u32> {
        let Some(limit) = &self.limit else { return Ok(()) };
        let quota = limit.quota;
        let keyed = limit.keys.get_with(key, || Arc::new(RateLimiter::direct(quota)));
        keyed.check().map_err(|until| {
            metrics::counter!("edgefeed_rate_limited_total", "by" => limit.by).increment(1);
            let wait = until.wait_time_from(limit.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
        })
    }

    /// How many keys are remembered.
    pub fn len(&self) -> u64 {
        self.limit.as_ref().map_or(0, |limit| {
            limit.keys.run_pending_tasks();
            limit.keys.entry_count()
        })
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Says what the metrics of this module mean; call once after the recorder is installed.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "edgefeed_rate_limited_total",
        "Requests refused because their user or address asked too often."
    );
    for by in ["subject", "address"] {
        // There from the start, so that an alert on its rise has something to rise from.
        metrics::counter!("edgefeed_rate_limited_total", "by" => by).increment(0);
    }
}
