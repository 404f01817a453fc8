//! Connections to PostgreSQL, kept open between questions.
//!
//! Small on purpose. A pool that tests each connection before and after use takes three round trips a question; here a
//! kept connection that turns out to be broken is replaced by a fresh one within the same question, and one whose
//! question was cut is dropped, never handed out again: nothing is left behind that could hang.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

/// A connection older than this is not used again: addresses, passwords and servers change.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// One that lay idle for longer than this may have been forgotten on the way.
const IDLE: Duration = Duration::from_secs(300);
/// How long saying goodbye may take, all connections together.
const GOODBYES: Duration = Duration::from_secs(1);

/// One connection.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) connection: PgConnection,
    opened: Instant,
    used: Instant,
}

/// The connections that are not in use. How many there may be is bounded by who asks.
#[derive(Debug)]
pub(super) struct Pool {
    options: PgConnectOptions,
    idle: Mutex<Vec<Kept>>,
}

impl Pool {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, idle: Mutex::default() }
    }

    /// A kept connection: the one used last, as the others may then grow old.
    pub(super) fn take(&self) -> Option<Kept> {
        let mut idle = self.idle.lock();
        idle.retain(|kept| kept.opened.elapsed() < LIFETIME && kept.used.elapsed() < IDLE);
        idle.pop()
    }

    /// A fresh connection. The caller bounds the time.
    pub(super) async fn open(&self) -> sqlx::Result<Kept> {
        let connection = self.options.connect().await?;
        let now = Instant::now();
        Ok(Kept { connection, opened: now, used: now })
    }

    /// Keeps a connection for the next question.
    pub(super) fn give_back(&self, mut kept: Kept) {
        kept.used = Instant::now();
        self.idle.lock().push(kept);
    }

    /// Drops every kept connection: where one hangs, the others do.
    pub(super) fn forget(&self) {
        self.idle.lock().clear();
    }

    /// Says goodbye on every kept connection, as far as time allows.
    pub(super) async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        let goodbyes = async {
            for kept in idle {
                // One that is broken needs none.
                drop(kept.connection.close().await);
            }
        };
        drop(tokio::time::timeout(GOODBYES, goodbyes).await);
    }
}
