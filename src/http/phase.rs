//! Where a connection stands in the life of its current request, and when its patience ends.
//!
//! hyper's own header timer cannot serve here: it starts when the previous answer ends, so it would either cut
//! keep-alive short or give a dripping client the whole idle time for its next head.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Config;

/// What is left to a connection that has not begun a request when the node is told to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// The steps of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing has come yet.
    New = 0,
    /// Part of a request's head has come.
    Head = 1,
    /// A request is being answered.
    Busy = 2,
    /// An answer is handed to hyper, which still takes its body.
    Body = 3,
    /// An answer lies in hyper's buffer.
    Flush = 4,
    /// Answered; the next request has not begun.
    Idle = 5,
}

impl Phase {
    const ALL: [Self; 6] = [Self::New, Self::Head, Self::Busy, Self::Body, Self::Flush, Self::Idle];

    /// The metric label.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "first_byte",
            Self::Head => "head",
            Self::Busy => "request",
            Self::Body | Self::Flush => "write",
            Self::Idle => "keep_alive",
        }
    }
}

/// The phase of one connection and since when; shared by its socket, its service and its driver, which all run in
/// one task. Eight bits of phase above 56 bits of milliseconds since the connection's start.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    state: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), state: AtomicU64::new(0) }
    }

    pub(super) fn phase(&self) -> Phase {
        self.read().0
    }

    /// Enters a phase now.
    pub(super) fn enter(&self, phase: Phase) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 8);
        self.state.store((phase as u64) << 56 | since, Ordering::Relaxed);
    }

    /// Enters a phase if the connection stands in another.
    pub(super) fn advance(&self, from: &[Phase], to: Phase) {
        if from.contains(&self.phase()) {
            self.enter(to);
        }
    }

    /// When the connection is closed unless it moves on.
    pub(super) fn deadline(&self, limits: &Config, draining_since: Option<Instant>) -> Instant {
        let (phase, since) = self.read();
        let allowed_ms = match phase {
            Phase::New => limits.first_byte_timeout_ms,
            Phase::Head => limits.header_read_timeout_ms,
            // The service answers by the request timeout; this is the net below it.
            Phase::Busy => limits.request_timeout_ms.saturating_add(limits.write_timeout_ms),
            Phase::Body | Phase::Flush => limits.write_timeout_ms,
            Phase::Idle => limits.keep_alive_timeout_ms,
        };
        let deadline = self.start + since + Duration::from_millis(allowed_ms);
        match draining_since {
            Some(drain) if matches!(phase, Phase::New | Phase::Head) => deadline.min(drain + DRAIN_GRACE),
            _ => deadline,
        }
    }

    fn read(&self) -> (Phase, Duration) {
        let state = self.state.load(Ordering::Relaxed);
        let phase = usize::try_from(state >> 56).ok().and_then(|code| Phase::ALL.get(code).copied());
        (phase.unwrap_or(Phase::New), Duration::from_millis(state & (u64::MAX >> 8)))
    }
}
