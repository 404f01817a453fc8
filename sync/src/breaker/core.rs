//! The breaker as a pure state machine: time is an argument, nothing is shared.

use std::time::Duration;

use super::Config;
use super::window::Window;

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Every call.
    Closed,
    /// A few probes, to find out whether the dependency is well again.
    HalfOpen,
    /// Nothing.
    Open,
}

impl State {
    /// The name in labels and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What an operator has decided over the breaker's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forced {
    /// Nothing passes.
    Open,
    /// Everything passes, however it ends.
    Closed,
    /// Nothing is decided: the calls decide.
    #[default]
    None,
}

impl Forced {
    /// The name in answers and orders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::None => "none",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Well, in good time.
    Success,
    /// Well, but it took long.
    Slow,
    /// Not well, by the dependency's fault.
    Failure,
}

/// Leave to make one call. It belongs to the stretch of one state: what comes of it counts for that stretch alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    HalfOpen { in_flight: usize, good: usize, slow: usize },
    Open { since: Duration },
}

/// The state machine. Times are those of one monotonic clock, from any origin.
#[derive(Clone, Debug)]
pub struct Core {
    config: Config,
    phase: Phase,
    forced: Forced,
    window: Window,
    /// Counts the stretches: raised whenever calls under way stop telling anything.
    stretch: u64,
}

impl Core {
    /// Closed, with nothing known.
    pub fn new(config: &Config) -> Self {
        let window = Window::new(config.window_calls, Duration::from_millis(config.window_ms));
        Self { config: config.clone(), phase: Phase::Closed, forced: Forced::None, window, stretch: 0 }
    }

    /// The state at `now`. Half-open as soon as the time of being open is over, whether or not anybody has asked since.
    pub fn state(&mut self, now: Duration) -> State {
        self.tick(now);
        match (self.forced, self.phase) {
            (Forced::Open, _) => State::Open,
            (Forced::Closed, _) | (Forced::None, Phase::Closed) => State::Closed,
            (Forced::None, Phase::HalfOpen { .. }) => State::HalfOpen,
            (Forced::None, Phase::Open { .. }) => State::Open,
        }
    }

    /// What is decided over its head.
    pub fn forced(&self) -> Forced {
        self.forced
    }

    /// Calls in the window, those of them that failed, and those that were slow.
    pub fn counts(&mut self, now: Duration) -> (usize, usize, usize) {
        self.window.expire(now);
        (self.window.calls(), self.window.failed(), self.window.slow())
    }

    /// Leave for one call, or none. Whoever gets it settles or cancels it.
    pub fn acquire(&mut self, now: Duration) -> Option<Ticket> {
        let state = self.state(now);
        if let (State::HalfOpen, Phase::HalfOpen { in_flight, .. }) = (state, &mut self.phase) {
            if *in_flight >= self.config.probes_max.clamp(1, PROBES_MOST) {
                return None;
            }
            *in_flight += 1;
        }
        (state != State::Open).then_some(Ticket(self.stretch))
    }

    /// Tells how a call ended.
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Duration) {
        if ticket.0 != self.stretch || self.forced != Forced::None {
            return;
        }
        match &mut self.phase {
            Phase::Closed => {
                self.window.push(now, outcome);
                if self.is_bad() {
                    self.enter(Phase::Open { since: now });
                }
            }
            Phase::HalfOpen { in_flight, good, slow } => {
                *in_flight = in_flight.saturating_sub(1);
                match outcome {
                    Outcome::Success => *good += 1,
                    Outcome::Slow => *slow += 1,
                    Outcome::Failure => return self.enter(Phase::Open { since: now }),
                }
                let (ended, slow) = (*good + *slow, *slow);
                if ended >= self.config.probes_needed {
                    let crawls = share(slow, ended) >= self.config.slow_rate;
                    self.enter(if crawls { Phase::Open { since: now } } else { Phase::Closed });
                }
            }
            Phase::Open { .. } => {}
        }
    }

    /// Gives a ticket back: nothing is known of the call. A probe makes room for another.
    pub fn cancel(&mut self, ticket: Ticket) {
        if let Phase::HalfOpen { in_flight, .. } = &mut self.phase
            && ticket.0 == self.stretch
        {
            *in_flight = in_flight.saturating_sub(1);
        }
    }

    /// Decides over its head, or with [`Forced::None`] lets it begin anew: closed, with nothing known.
    pub fn force(&mut self, forced: Forced) {
        self.forced = forced;
        self.enter(Phase::Closed);
    }

    fn tick(&mut self, now: Duration) {
        if let Phase::Open { since } = self.phase
            && now.saturating_sub(since) >= Duration::from_millis(self.config.open_ms)
        {
            self.enter(Phase::HalfOpen { in_flight: 0, good: 0, slow: 0 });
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.stretch += 1;
        self.window.clear();
    }

    fn is_bad(&self) -> bool {
        let calls = self.window.calls();
        let (failed, slow) = (self.window.failed(), self.window.slow());
        // A window that only ever had good calls opens nothing, whatever the rates.
        failed + slow > 0
            && calls >= self.config.min_calls
            && (failed > 0 && share(failed, calls) >= self.config.failure_rate
                || share(failed + slow, calls) >= self.config.slow_rate)
    }
}

/// However it is configured, no more probes than these at once.
const PROBES_MOST: usize = 5;

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}
