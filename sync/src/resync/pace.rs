//! How fast the center may be read: so many rows a second, all queries together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Hands out time for rows. 0 rows a second: no bound.
#[derive(Debug)]
pub(crate) struct Pace {
    rows_per_s: u64,
    /// When the rows handed out so far are paid for.
    paid: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(rows_per_s: u64) -> Self {
        Self { rows_per_s, paid: Mutex::new(Instant::now()) }
    }

    /// Waits until these rows may have been read. Idle time is not saved up.
    pub(crate) async fn take(&self, rows: u64) {
        if self.rows_per_s == 0 {
            return;
        }
        let until = {
            let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
            let cost = Duration::from_secs_f64(rows as f64 / self.rows_per_s as f64);
            *paid = (*paid).max(Instant::now()) + cost;
            *paid
        };
        tokio::time::sleep_until(until).await;
    }
}
