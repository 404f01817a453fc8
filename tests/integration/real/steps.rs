//! Waiting for a condition, and how long each step of a promise took.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Forty questions a second: below the default limit of one reader.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks until there is an answer, or until the time is up.
pub(crate) async fn until<T>(patience: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The steps of one promise, told when the test ends.
pub(crate) struct Steps {
    promise: &'static str,
    taken: Mutex<Vec<(String, Duration)>>,
}

impl Steps {
    pub(crate) fn of(promise: &'static str) -> Self {
        Self { promise, taken: Mutex::default() }
    }

    pub(crate) fn note(&self, step: &str, took: Duration) {
        println!("{:>7.0} ms  {step}", took.as_secs_f64() * 1e3);
        self.taken.lock().unwrap().push((step.to_owned(), took));
    }
}

impl Drop for Steps {
    /// Written past the test harness, which keeps what passing tests print to itself.
    fn drop(&mut self) {
        let Ok(taken) = self.taken.get_mut() else { return };
        taken.sort_by_key(|(_, took)| *took);
        let ms = |place: usize| taken.get(place).map_or(0, |(_, took)| took.as_millis());
        let (count, most) = (taken.len(), taken.len().saturating_sub(1));
        let line = format!(
            "visible after ms min/median/max {}/{}/{} ({count} steps) {}",
            ms(0),
            ms(most / 2),
            ms(most),
            self.promise
        );
        drop(writeln!(std::io::stderr(), "{line}"));
    }
}
