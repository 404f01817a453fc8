//! The breaker against a naive account of what it may do, over every short history and many long ones.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

const STEP_MS: u64 = 100;

/// Small numbers, so that short histories reach every corner.
fn small() -> Config {
    Config {
        window_calls: 3,
        window_ms: 350,
        min_calls: 2,
        failure_rate: 0.5,
        slow_rate: 0.8,
        open_ms: 200,
        probes_max: 2,
        probes_needed: 2,
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Begin,
    /// The oldest call under way ends so.
    End(Outcome),
    /// The youngest one ends so.
    EndLast(Outcome),
    /// The caller of the oldest one has gone away.
    Cancel,
    Wait,
}

const ACTS: [Act; 7] = [
    Act::Begin,
    Act::End(Outcome::Success),
    Act::End(Outcome::Slow),
    Act::End(Outcome::Failure),
    Act::EndLast(Outcome::Failure),
    Act::Cancel,
    Act::Wait,
];

/// What the promises say, kept with lists instead of counters.
#[derive(Debug, Default)]
struct Naive {
    /// Ends of calls since it last closed.
    ended: Vec<(u64, Outcome)>,
    opened_at: Option<u64>,
    /// Ends of probes since it became half-open; `None` while it is not.
    probes: Option<Vec<Outcome>>,
    stretch: u32,
}

impl Naive {
    fn state(&self, config: &Config, now: u64) -> State {
        match (&self.probes, self.opened_at) {
            (Some(_), _) => State::HalfOpen,
            (None, Some(at)) if now - at >= config.open_ms => State::HalfOpen,
            (None, Some(_)) => State::Open,
            (None, None) => State::Closed,
        }
    }

    fn open(&mut self, now: u64) {
        *self = Self { opened_at: Some(now), stretch: self.stretch + 1, ..Self::default() };
    }

    fn look(&mut self, config: &Config, now: u64) {
        if self.probes.is_none() && self.state(config, now) == State::HalfOpen {
            self.probes = Some(Vec::new());
            self.stretch += 1;
        }
    }

    fn end(&mut self, config: &Config, now: u64, stretch: u32, outcome: Outcome) {
        if stretch != self.stretch {
            return;
        }
        if let Some(probes) = &mut self.probes {
            probes.push(outcome);
            let slow = probes.iter().filter(|ended| **ended == Outcome::Slow).count();
            if outcome == Outcome::Failure {
                self.open(now);
            } else if probes.len() == config.probes_needed {
                if slow as f64 / probes.len() as f64 >= config.slow_rate {
                    self.open(now);
                } else {
                    *self = Self { stretch: self.stretch + 1, ..Self::default() };
                }
            }
            return;
        }
        self.ended.push((now, outcome));
        let last = self.ended.iter().rev().take(config.window_calls);
        let recent: Vec<_> = last.filter(|(at, _)| now - at <= config.window_ms).collect();
        let count = |wanted| recent.iter().filter(|(_, outcome)| *outcome == wanted).count() as f64;
        let (failed, slow, calls) = (count(Outcome::Failure), count(Outcome::Slow), recent.len() as f64);
        let failing = failed / calls >= config.failure_rate;
        let crawling = (failed + slow) / calls >= config.slow_rate;
        if recent.len() >= config.min_calls && (failing || crawling) {
            self.open(now);
        }
    }
}

/// Runs a history through both and compares them after each step.
fn agree(config: &Config, acts: &[Act]) {
    let (mut core, mut naive, mut now) = (Core::new(config), Naive::default(), 0);
    let mut under_way: Vec<(Ticket, u32)> = Vec::new();
    for act in acts {
        let time = Duration::from_millis(now);
        naive.look(config, now);
        match act {
            Act::Begin => {
                let probing = under_way.iter().filter(|(_, stretch)| *stretch == naive.stretch).count();
                let may = match naive.state(config, now) {
                    State::Closed => true,
                    State::HalfOpen => probing < config.probes_max,
                    State::Open => false,
                };
                let ticket = core.acquire(time);
                assert_eq!(ticket.is_some(), may, "{acts:?} at {now}: {core:?}");
                under_way.extend(ticket.map(|ticket| (ticket, naive.stretch)));
            }
            Act::End(outcome) | Act::EndLast(outcome) if !under_way.is_empty() => {
                let at = if matches!(act, Act::End(_)) { 0 } else { under_way.len() - 1 };
                let (ticket, stretch) = under_way.remove(at);
                core.settle(ticket, *outcome, time);
                naive.end(config, now, stretch, *outcome);
            }
            Act::Cancel if !under_way.is_empty() => core.cancel(under_way.remove(0).0),
            Act::Wait => now += STEP_MS,
            _ => {}
        }
        assert_eq!(core.state(Duration::from_millis(now)), naive.state(config, now), "{acts:?} at {now}: {core:?}");
    }
}

#[test]
fn every_short_history_goes_as_promised() {
    const LENGTH: u32 = 7;
    let config = small();
    for number in 0..ACTS.len().pow(LENGTH) {
        let acts: Vec<Act> = (0..LENGTH).map(|place| ACTS[number / ACTS.len().pow(place) % ACTS.len()]).collect();
        agree(&config, &acts);
    }
}

fn histories() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(proptest::sample::select(ACTS.to_vec()), 0..200)
}

fn configs() -> impl Strategy<Value = Config> {
    let (sizes, probes) = ((1..30_usize, 1..20_usize, 100..2_000_u64), (1..=5_usize, 1..7_usize, 10..1_000_u64));
    (sizes, probes, 0.01..=1.0, 0.01..=1.0).prop_map(|(sizes, probes, failure_rate, slow_rate)| Config {
        window_calls: sizes.0,
        window_ms: sizes.2,
        min_calls: sizes.1.min(sizes.0),
        failure_rate,
        slow_rate,
        open_ms: probes.2,
        probes_max: probes.0,
        probes_needed: probes.1,
    })
}

proptest! {
    #[test]
    fn long_histories_go_as_promised(config in configs(), acts in histories()) {
        agree(&config, &acts);
    }
}

/// A breaker whose time the test sets.
fn at_will(config: &Config) -> (Arc<Breaker>, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&now);
    let clock = Box::new(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
    (Breaker::with_clock("test", config, clock), now)
}

#[test]
fn a_dependency_that_fails_is_left_alone_within_twenty_calls_and_asked_again_once_it_is_well() {
    let (breaker, now) = at_will(&Config::default());
    for _ in 0..20 {
        breaker.acquire().unwrap().success();
    }
    let calls = (1..).find(|_| {
        breaker.acquire().unwrap().failure();
        breaker.state() == State::Open
    });
    assert!(calls.unwrap() <= 20, "{calls:?}");
    assert!(breaker.acquire().is_none());
    now.fetch_add(2_000, Ordering::Relaxed);
    assert_eq!(breaker.state(), State::HalfOpen, "by time alone");
    for _ in 0..3 {
        breaker.acquire().unwrap().success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn no_more_probes_than_five_are_under_way_whatever_is_configured() {
    let (breaker, now) = at_will(&Config { probes_max: 50, ..small() });
    breaker.acquire().unwrap().failure();
    breaker.acquire().unwrap().failure();
    now.fetch_add(200, Ordering::Relaxed);
    let probes: Vec<_> = std::iter::from_fn(|| breaker.acquire()).collect();
    assert_eq!(probes.len(), 5);
    drop(probes);
    assert!(breaker.acquire().is_some(), "a probe nobody waits for any more makes room");
}

#[test]
fn a_settled_probe_frees_one_place_not_two() {
    let (breaker, now) = at_will(&Config { probes_needed: 9, ..small() });
    breaker.acquire().unwrap().failure();
    breaker.acquire().unwrap().failure();
    now.fetch_add(200, Ordering::Relaxed);
    let (first, _second) = (breaker.acquire().unwrap(), breaker.acquire().unwrap());
    first.success();
    let _third = breaker.acquire().unwrap();
    assert!(breaker.acquire().is_none());
}

#[test]
fn what_is_forced_holds_until_it_is_taken_back() {
    let (breaker, now) = at_will(&small());
    let before = breaker.acquire().unwrap();
    breaker.force(Forced::Open);
    now.fetch_add(10_000, Ordering::Relaxed);
    assert!(breaker.acquire().is_none());
    assert_eq!(breaker.state(), State::Open, "no time ends it");
    breaker.force(Forced::Closed);
    for _ in 0..50 {
        breaker.acquire().unwrap().failure();
    }
    assert_eq!(breaker.state(), State::Closed, "no failure ends it");
    breaker.force(Forced::None);
    before.failure();
    breaker.acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Closed, "it begins anew, and calls of before tell nothing");
    breaker.acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn threads_that_call_at_once_leave_no_probe_behind() {
    let breaker = Breaker::new("test", &Config { open_ms: 1, ..small() });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let breaker = &breaker;
            scope.spawn(move || {
                for call in 0..2_000 {
                    let Some(permit) = breaker.acquire() else { continue };
                    match (call + thread) % 3 {
                        0 => permit.failure(),
                        1 => permit.success(),
                        _ => drop(permit),
                    }
                }
            });
        }
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while breaker.state() != State::Closed {
        assert!(Instant::now() < deadline, "{breaker:?}");
        if let Some(permit) = breaker.acquire() {
            permit.success();
        }
    }
}
