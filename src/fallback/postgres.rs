//! PostgreSQL behind its breaker: no question takes longer than configured, and a server that is away costs nobody
//! much.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind};
use edgefeed_sync::breaker::{Breaker, Permit, State};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::config::Postgres;
use super::pool::{Kept, Pool};
use super::query::{Listed, Question};
use crate::cursor::Keyset;
use crate::problem::Problem;

/// How long `check --probe` waits for each answer.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// Why PostgreSQL gave no posts.
#[derive(Debug, thiserror::Error)]
pub enum FallbackError {
    /// Its breaker is open, or all its probes are under way.
    #[error("PostgreSQL is left alone for now")]
    Away,
    /// All connections were busy for as long as a request may wait.
    #[error("every connection to PostgreSQL is busy")]
    Busy,
    /// It refused or failed.
    #[error("PostgreSQL: {0}")]
    Failed(#[from] sqlx::Error),
    /// It did not answer in time.
    #[error("PostgreSQL did not answer in time")]
    TimedOut,
}

/// The application's database, read for feeds.
#[derive(Debug)]
pub struct Fallback {
    ids: IdKind,
    breaker: Arc<Breaker>,
    pool: Pool,
    /// One for each connection there may be.
    slots: Semaphore,
    acquire: Duration,
    statement: Duration,
    slow: Duration,
}

impl Fallback {
    /// Prepares to ask; connects to nothing, so that a dead PostgreSQL stops no start.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn new(config: &Postgres, ids: IdKind, breaker: Arc<Breaker>) -> Result<Arc<Self>, Problem> {
        Ok(Arc::new(Self {
            ids,
            breaker,
            pool: Pool::new(options(config)?),
            slots: Semaphore::new(usize::try_from(config.pool_max).unwrap_or(1)),
            acquire: Duration::from_millis(config.acquire_timeout_ms),
            statement: Duration::from_millis(config.statement_timeout_ms),
            slow: Duration::from_millis(config.slow_ms),
        }))
    }

    /// Whether there is a point in asking.
    pub fn may_be_asked(&self) -> bool {
        self.breaker.state() != State::Open
    }

    /// The newest posts by whom a reader follows, below a place, newest first; `limit` at most.
    ///
    /// Takes no longer than `postgres.acquire_timeout_ms` and `postgres.statement_timeout_ms` together, whatever the
    /// server does. Runs to its end when the caller goes away: what became of the question is then still known.
    ///
    /// # Errors
    /// See [`FallbackError`].
    pub async fn newest(
        self: &Arc<Self>,
        viewer: Id,
        below: Keyset,
        limit: usize,
    ) -> Result<Vec<Listed>, FallbackError> {
        let permit = self.breaker.acquire().ok_or(FallbackError::Away)?;
        let question = Question { ids: self.ids, viewer, below, limit };
        let asking = Arc::clone(self);
        let answer = tokio::spawn(async move { asking.answer(&question, permit).await }).await;
        answer.unwrap_or_else(|error| Err(FallbackError::Failed(sqlx::Error::Io(std::io::Error::other(error)))))
    }

    /// Says goodbye to PostgreSQL; for the end of a node.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Asks, and tells the breaker how it went.
    async fn answer(&self, question: &Question, permit: Permit) -> Result<Vec<Listed>, FallbackError> {
        let begun = Instant::now();
        // A permit that is dropped here says nothing: to be busy is no fault of PostgreSQL's.
        let slot = timeout_at(begun + self.acquire, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else { return Err(FallbackError::Busy) };
        let (asked, end) = (Instant::now(), begun + self.acquire + self.statement);
        let answer = timeout_at(end, self.ask(question, asked + self.acquire)).await;
        let answer = answer.unwrap_or(Err(FallbackError::TimedOut));
        match &answer {
            Ok(_) if asked.elapsed() > self.slow => permit.slow(),
            Ok(_) => permit.success(),
            Err(error) => {
                tracing::warn!(%error, took_ms = asked.elapsed().as_millis(), "the fallback got no answer");
                if matches!(error, FallbackError::TimedOut) {
                    self.pool.forget();
                }
                permit.failure();
            }
        }
        answer
    }

    /// Asks on a kept connection, or on a fresh one when there is none or it is broken.
    async fn ask(&self, question: &Question, connect_by: Instant) -> Result<Vec<Listed>, FallbackError> {
        if let Some(kept) = self.pool.take() {
            match self.ask_on(kept, question).await {
                // A server that was restarted, a proxy that forgot it.
                Err(error) if is_broken(&error) => tracing::debug!(%error, "a kept connection to PostgreSQL is broken"),
                answer => return Ok(answer?),
            }
        }
        let opened = timeout_at(connect_by, self.pool.open()).await;
        Ok(self.ask_on(opened.map_err(|_| FallbackError::TimedOut)??, question).await?)
    }

    /// Asks on this connection, and keeps it if it is still good.
    async fn ask_on(&self, mut kept: Kept, question: &Question) -> sqlx::Result<Vec<Listed>> {
        let answer = question.ask(&mut kept.connection).await;
        if !answer.as_ref().is_err_and(is_broken) {
            self.pool.give_back(kept);
        }
        answer
    }
}

/// Whether the connection is of no more use.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        // Class 57P: the server ends, or ended this connection.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => false,
        _ => true,
    }
}

/// Whether PostgreSQL answers as the fallback needs it: a connection in time, and the tables it reads.
///
/// # Errors
/// What it said. Never the address, which is a secret.
pub async fn probe(config: &Postgres) -> Result<String, String> {
    let options = options(config).map_err(|problem| problem.to_string())?;
    // A first connection may look names up and speak TLS: it gets more time than a request would.
    let connect_by = Instant::now() + PROBE_PATIENCE;
    let pool = Pool::new(options);
    let opened = timeout_at(connect_by, pool.open()).await.map_err(|_| "no connection in time".to_owned())?;
    let mut kept = opened.map_err(|error| error.to_string())?;
    for question in ["SELECT FROM posts LIMIT 0", "SELECT FROM follows LIMIT 0", "SELECT FROM blocks LIMIT 0"] {
        let asked = sqlx::query(question).execute(&mut kept.connection);
        let answer =
            timeout_at(Instant::now() + PROBE_PATIENCE, asked).await.map_err(|_| "no answer in time".to_owned())?;
        answer.map_err(|error| error.to_string())?;
    }
    Ok("answers, and its tables can be read".to_owned())
}

/// The address, with what every connection is told.
pub(super) fn options(config: &Postgres) -> Result<PgConnectOptions, Problem> {
    let options = PgConnectOptions::from_str(config.url.expose_secret()).map_err(|_| {
        // The parser's own words may quote the address, which is a secret.
        Problem::new("postgres.url", "cannot be read", "write postgres://user:password@host:port/database")
    })?;
    let statement_timeout = format!("{}ms", config.statement_timeout_ms);
    Ok(options
        .application_name("edgefeed")
        .options([("statement_timeout", statement_timeout.as_str()), ("default_transaction_read_only", "on")]))
}
