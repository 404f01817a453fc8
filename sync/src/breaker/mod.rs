//! A circuit breaker: stops asking a dependency that fails or crawls, and finds out when it is well again.
//!
//! [`Core`] is a pure state machine over a clock that is handed in; [`Breaker`] is the same shared between threads.
//! ClickHouse has one (sink and histories together), PostgreSQL another.

mod config;
mod core;
#[cfg(test)]
mod tests;
mod window;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use serde_json::{Value, json};

pub use self::core::{Core, Forced, Outcome, State, Ticket};
pub use config::Config;

/// A monotonic clock: the time since some moment.
pub type Monotonic = Box<dyn Fn() -> Duration + Send + Sync>;

/// One dependency's breaker, shared by everything that calls it.
pub struct Breaker {
    name: &'static str,
    clock: Monotonic,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    core: Core,
    /// The state last told to metrics and log.
    told: State,
}

/// Leave for one call. Say how it ended; a permit that is dropped unsaid (the caller went away) counts as nothing.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing about the dependency"]
pub struct Permit {
    breaker: Arc<Breaker>,
    /// `None` once it is settled.
    ticket: Option<Ticket>,
}

impl Breaker {
    /// A closed breaker around a dependency; `name` is its label in metrics.
    pub fn new(name: &'static str, config: &Config) -> Arc<Self> {
        let start = Instant::now();
        Self::with_clock(name, config, Box::new(move || start.elapsed()))
    }

    /// The same over a clock of the caller's, for tests.
    pub fn with_clock(name: &'static str, config: &Config, clock: Monotonic) -> Arc<Self> {
        measure(name, State::Closed);
        let inside = Inside { core: Core::new(config), told: State::Closed };
        Arc::new(Self { name, clock, inside: Mutex::new(inside) })
    }

    /// The dependency.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Leave to call the dependency; `None` while it is better left alone.
    pub fn acquire(self: &Arc<Self>) -> Option<Permit> {
        let ticket = self.with(|core, now| core.acquire(now))?;
        Some(Permit { breaker: Arc::clone(self), ticket: Some(ticket) })
    }

    /// What it lets through now.
    pub fn state(&self) -> State {
        self.with(Core::state)
    }

    /// Decides over its head, for an operator.
    pub fn force(&self, forced: Forced) {
        tracing::warn!(dependency = self.name, forced = forced.name(), "breaker forced");
        self.with(|core, _| core.force(forced));
    }

    /// Its account of itself: `state`, `forced`, and the window's `calls`, `failed` and `slow`.
    pub fn snapshot(&self) -> Value {
        self.with(|core, now| {
            let (state, forced, (calls, failed, slow)) = (core.state(now), core.forced(), core.counts(now));
            json!({ "state": state.name(), "forced": forced.name(), "calls": calls, "failed": failed, "slow": slow })
        })
    }

    /// Does something to the state machine, and tells when its state has changed by it.
    fn with<T>(&self, act: impl FnOnce(&mut Core, Duration) -> T) -> T {
        let mut inside = self.inside();
        let now = (self.clock)();
        // Half-open begins by time alone; both changes are told when one call meets two.
        self.tell(&mut inside, now);
        let done = act(&mut inside.core, now);
        self.tell(&mut inside, now);
        done
    }

    /// Tells a changed state to metrics and log.
    fn tell(&self, inside: &mut Inside, now: Duration) {
        let state = inside.core.state(now);
        if state == inside.told {
            return;
        }
        inside.told = state;
        measure(self.name, state);
        counter!("edgefeed_breaker_transitions_total", "dependency" => self.name, "to" => state.name()).increment(1);
        match state {
            State::Closed => tracing::info!(dependency = self.name, "breaker closed: asked as usual"),
            State::HalfOpen => tracing::info!(dependency = self.name, "breaker half-open: a few probes may ask"),
            State::Open => tracing::warn!(dependency = self.name, "breaker open: not asked for now"),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Nothing panics while holding the lock; were it so, the breaker would still be worth asking.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.name).field("inside", &self.inside).finish_non_exhaustive()
    }
}

impl Permit {
    /// The dependency answered in good time.
    pub fn success(self) {
        self.settle(Outcome::Success);
    }

    /// It answered, but took long.
    pub fn slow(self) {
        self.settle(Outcome::Slow);
    }

    /// It failed, or did not answer in time.
    pub fn failure(self) {
        self.settle(Outcome::Failure);
    }

    fn settle(mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.with(|core, now| core.settle(ticket, outcome, now));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.with(|core, _| core.cancel(ticket));
        }
    }
}

fn measure(name: &'static str, state: State) {
    let value = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    gauge!("edgefeed_breaker_state", "dependency" => name).set(value);
}
