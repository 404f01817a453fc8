//! Chance that can be had again: the seed is told when a test fails.

use std::time::{SystemTime, UNIX_EPOCH};

/// A seeded source of numbers. Names its seed when it is dropped by a failing test.
#[derive(Debug)]
pub(crate) struct Dice {
    pub(crate) seed: u64,
    state: u64,
}

impl Dice {
    /// Seeded by `EDGEFEED_SEED`, or by the clock: each run looks elsewhere.
    pub(crate) fn of_run() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seed = from_environment("EDGEFEED_SEED").unwrap_or_else(clock);
        Self { seed, state: seed }
    }

    /// Seeded by another source of chance.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Any number at all.
    pub(crate) fn number(&mut self) -> u64 {
        self.roll()
    }

    /// splitmix64.
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// A number of `from..=to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[7]
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see it again: EDGEFEED_SEED={}", self.seed);
        }
    }
}

/// How often to do something: the environment's word, or `default`.
pub(crate) fn times(variable: &str, default: usize) -> usize {
    from_environment(variable).unwrap_or(default)
}

fn from_environment<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}
