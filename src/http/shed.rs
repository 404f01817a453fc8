//! When the node says "not now": more requests in work than it may hold, or a processor so busy that everything waits.
//!
//! Most requests are answered from memory without waiting, so when too many come they do not pile up in handlers but
//! before them, in the runtime's queue and in sockets. A probe measures that wait: a task that sleeps for a moment and
//! sees how much later it wakes. While the wait stays above the limit, a growing share of requests is turned away at
//! once, before a token is checked; whoever is let in is answered in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::Error;

/// How long the probe sleeps.
const PROBE: Duration = Duration::from_millis(20);
/// How long the wait must stay above the limit before anybody is turned away: a pause of the machine is no overload.
const SUSTAINED: Duration = Duration::from_millis(500);
/// Shares are counted in this many parts.
const WHOLE: u32 = 1_024;
/// The most that is turned away: what is left over shows when the overload ends.
const SHARE_MAX: u32 = WHOLE - WHOLE / 50;

/// Decides whom to turn away. Cheap to ask.
#[derive(Debug)]
pub(super) struct Shed {
    in_work: AtomicU32,
    requests_max: u32,
    /// The share that is turned away, of [`WHOLE`].
    share: Arc<AtomicU32>,
    dice: AtomicU64,
    probe: Option<JoinHandle<()>>,
}

/// One request in work.
#[derive(Debug)]
pub(super) struct InWork<'s>(&'s Shed);

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shed {
    /// At most `requests_max` in work, and a wait of at most `wait_max` (0: whatever it is). Needs a runtime.
    pub(super) fn new(requests_max: u32, wait_max: Duration) -> Self {
        let share = Arc::new(AtomicU32::new(0));
        let probe = (!wait_max.is_zero()).then(|| tokio::spawn(probe(wait_max, Arc::clone(&share))));
        Self { in_work: AtomicU32::new(0), requests_max, share, dice: AtomicU64::new(1), probe }
    }

    /// Takes a request in, or turns it away.
    pub(super) fn admit(&self) -> Result<InWork<'_>, Error> {
        let share = self.share.load(Ordering::Relaxed);
        if share > 0 && self.roll() < share {
            return Err(turned_away("wait"));
        }
        // Counted first: the guard takes it back, whichever way this goes.
        let in_work = self.in_work.fetch_add(1, Ordering::Relaxed);
        let guard = InWork(self);
        if in_work >= self.requests_max { Err(turned_away("in_work")) } else { Ok(guard) }
    }

    /// A number below [`WHOLE`], different each time (a multiplicative sequence: no clock, no lock).
    fn roll(&self) -> u32 {
        let next = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        u32::try_from(next >> 54).unwrap_or(0)
    }
}

impl Drop for Shed {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            probe.abort();
        }
    }
}

fn turned_away(why: &'static str) -> Error {
    metrics::counter!("edgefeed_http_shed_total", "why" => why).increment(1);
    Error::Overloaded
}

async fn probe(wait_max: Duration, share: Arc<AtomicU32>) {
    let mut control = Control::new(wait_max);
    loop {
        let start = Instant::now();
        sleep(PROBE).await;
        let now = Instant::now();
        let wait = now.duration_since(start).saturating_sub(PROBE);
        let decided = control.observe(wait, now);
        share.store(decided, Ordering::Relaxed);
        metrics::gauge!("edgefeed_runtime_wait_seconds").set(wait.as_secs_f64());
        metrics::gauge!("edgefeed_http_shed_ratio").set(f64::from(decided) / f64::from(WHOLE));
    }
}

/// From waits to the share that is turned away. Pure.
#[derive(Debug)]
struct Control {
    wait_max: Duration,
    above_since: Option<Instant>,
    share: u32,
}

impl Control {
    const fn new(wait_max: Duration) -> Self {
        Self { wait_max, above_since: None, share: 0 }
    }

    /// Takes a wait that was measured just now.
    fn observe(&mut self, wait: Duration, now: Instant) -> u32 {
        if wait <= self.wait_max {
            self.above_since = None;
            // Slowly down, and not at all while the wait is near the limit: the share is about right then.
            if wait < self.wait_max / 2 {
                self.share -= (self.share / 32).max(1).min(self.share);
            }
        } else if self.share > 0 || now.duration_since(*self.above_since.get_or_insert(now)) >= SUSTAINED {
            // Up by how far the wait is off, by a tenth of what is still let in at most: the wait tells of requests that
            // were let in before, so whoever steps further overshoots.
            let off = wait.as_secs_f64() / self.wait_max.as_secs_f64();
            let step = f64::from(WHOLE - self.share) * (off - 1.0).clamp(0.01, 0.1);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=WHOLE")]
            let step = step as u32;
            self.share = (self.share + step.max(1)).min(SHARE_MAX);
        }
        self.share
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    const MAX: Duration = Duration::from_millis(100);

    #[test]
    fn one_pause_of_the_machine_turns_nobody_away_and_a_lasting_wait_does() {
        let mut control = Control::new(MAX);
        let start = Instant::now();
        assert_eq!(control.observe(Duration::from_secs(3), start), 0);
        assert_eq!(control.observe(Duration::from_millis(1), start + SUSTAINED), 0);
        let mut share = 0;
        for step in 0..100 {
            share = control.observe(Duration::from_secs(3), start + SUSTAINED * 2 + PROBE * step);
        }
        assert_eq!(share, SHARE_MAX, "a share is always let in");
        for step in 0..1_000 {
            share = control.observe(Duration::ZERO, start + SUSTAINED * 100 + PROBE * step);
        }
        assert_eq!(share, 0, "and everybody again when it is over");
    }

    #[tokio::test]
    async fn requests_in_work_are_bounded_and_places_come_back() {
        let shed = Shed::new(2, Duration::ZERO);
        let (first, second) = (shed.admit().unwrap(), shed.admit().unwrap());
        assert_eq!(shed.admit().err(), Some(Error::Overloaded));
        drop(first);
        let third = shed.admit().unwrap();
        assert!(shed.admit().is_err());
        drop((second, third));
        assert_eq!(shed.in_work.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_share_that_is_turned_away_is_the_share_asked_for() {
        let shed = Shed::new(u32::MAX, Duration::ZERO);
        for percent in [0, 25, 75] {
            shed.share.store(WHOLE * percent / 100, Ordering::Relaxed);
            let away = (0..10_000).filter(|_| shed.admit().is_err()).count();
            let expected = usize::try_from(percent).unwrap() * 100;
            assert!(away.abs_diff(expected) < 200, "{percent} %: {away}");
        }
    }
}
