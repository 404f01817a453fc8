//! The center is asked again, behind its breaker, until it answers or patience ends.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::super::error::{Error, Result};
use super::work::Work;
use crate::breaker::Permit;
use crate::center::Class;

/// Between two looks at a breaker that is open.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries of a query that failed, at most.
const AGAIN_MOST: Duration = Duration::from_secs(5);
impl Work {
    /// Asks again after a failure that passes by itself, behind the breaker, for as long as patience goes.
    pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(&self, ask: impl Fn() -> F) -> Result<T> {
        let mut wait = LOOK;
        loop {
            let permit = self.leave().await?;
            match ask().await {
                Ok(done) => {
                    permit.success();
                    *self.well_at() = Instant::now();
                    return Ok(done);
                }
                Err(Error::Center(error)) => {
                    permit.failure();
                    if error.class() != Class::Transient || self.well_at().elapsed() > self.patience() {
                        return Err(Error::Center(error));
                    }
                    self.boot.report.wait(Some(error.to_string()));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_MOST);
                }
                // That says nothing about the center.
                Err(other) => return Err(other),
            }
        }
    }

    /// Waits until the breaker lets a query through.
    async fn leave(&self) -> Result<Permit> {
        loop {
            self.boot.check_stop()?;
            if let Some(permit) = self.boot.breaker.acquire() {
                self.boot.report.wait(None);
                return Ok(permit);
            }
            self.boot.report.wait(Some("clickhouse: the breaker is open".to_owned()));
            if self.well_at().elapsed() > self.patience() {
                return Err(Error::BreakerOpen(self.boot.settings.patience_s));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.boot.settings.patience_s)
    }

    fn well_at(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.well_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
