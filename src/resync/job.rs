//! What can be ordered, and how the last order stands.

use edgefeed_storage::model::{Id, IdKind, TimestampMs};
use edgefeed_sync::resync::{Report, Whose};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most users of one order.
const USERS_MAX: usize = 100_000;

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// The store is built anew from the center.
    Bootstrap,
    /// Histories are renewed by whole days.
    Refresh,
    /// Node, center and log are held against each other.
    Verify,
    /// The same, and what differs is put right.
    Repair,
    /// A backup takes the store's place. A node does so by itself, and nobody orders it.
    Restore,
}

impl Job {
    /// The name, also as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Refresh => "refresh",
            Self::Verify => "verify",
            Self::Repair => "repair",
            Self::Restore => "restore",
        }
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOrder {
    /// Which job.
    pub job: Job,
    /// Say what would be done and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Of `refresh`: everybody the center knows, not only whom this node has history of.
    #[serde(default)]
    pub all: bool,
    /// Of `refresh`: these users alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
}

impl JobOrder {
    /// Why a restore is not to be ordered.
    pub const NO_RESTORE: &str = "a running node restores a backup by itself, where it has to; for a stopped one there is `edgefeed backup restore`";

    /// A rebuild.
    pub const BOOTSTRAP: Self = Self { job: Job::Bootstrap, dry_run: false, all: false, users: None };

    /// Whose histories.
    ///
    /// # Errors
    /// Ids that cannot be read, too many of them, or two ways at once.
    pub fn whose(&self, ids: IdKind) -> Result<Whose, String> {
        match &self.users {
            None if self.all => Ok(Whose::All),
            None => Ok(Whose::Active),
            Some(_) if self.all => Err("name users or take all; only one of the two".to_owned()),
            Some(users) if users.len() > USERS_MAX => Err(format!("more than {USERS_MAX} users; take all")),
            Some(users) => {
                let read = |text: &String| -> Result<Id, String> {
                    ids.parse(text).ok_or_else(|| format!("{text:?} is no id of kind {}", ids.name()))
                };
                users.iter().map(read).collect::<Result<_, _>>().map(Whose::These)
            }
        }
    }

    /// Whether it can be followed at all.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, ids: IdKind) -> Result<(), String> {
        if self.job == Job::Restore {
            return Err(Self::NO_RESTORE.to_owned());
        }
        if self.job != Job::Refresh && (self.all || self.users.is_some()) {
            return Err(format!("a {} is always of everybody; leave the users out", self.job.name()));
        }
        self.whose(ids).map(drop)
    }
}

/// Why an order was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// What was asked cannot be.
    #[error("{0}")]
    Asked(String),
    /// Not now.
    #[error("{0}")]
    Busy(String),
}

/// How the last order stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Counts the orders of this process.
    pub number: u64,
    /// The last one; `None` before the first.
    pub job: Option<Job>,
    /// Whether it is under way.
    pub running: bool,
    /// When it was begun.
    pub begun_ms: TimestampMs,
    /// When it ended.
    pub ended_ms: Option<TimestampMs>,
    /// How far it is.
    pub progress: Shown,
    /// What it did.
    pub outcome: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// What is being done.
    pub stage: String,
    /// Why nothing happens at the moment.
    pub waiting: Option<String>,
    /// Rows read in this run.
    pub rows: u64,
    /// Table by table.
    pub tables: Vec<ShownTable>,
}

/// One table of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShownTable {
    /// Its name.
    pub table: String,
    /// Rows read in this run.
    pub rows: u64,
    /// Rows there are, roughly.
    pub rows_expected: u64,
    /// Parts done.
    pub parts_done: usize,
    /// Parts there are.
    pub parts: usize,
    /// How long it took in this run, in milliseconds; 0 until it is done.
    pub took_ms: u64,
}

impl Shown {
    /// As a job tells it.
    pub fn of(report: &Report) -> Self {
        serde_json::from_value(report.snapshot()).unwrap_or_default()
    }
}

/// Where the last order of a process is written up.
#[derive(Debug, Default)]
pub struct Board(Mutex<(Seen, Report)>);

impl Board {
    /// Takes an order in, unless one is under way; what is to be told of it.
    ///
    /// # Errors
    /// [`Trouble::Busy`].
    pub fn begin(&self, job: Job, now_ms: TimestampMs) -> Result<Report, Trouble> {
        let mut inside = self.0.lock();
        let (seen, report) = &mut *inside;
        if seen.running {
            let running = seen.job.map_or("a job", Job::name);
            return Err(Trouble::Busy(format!("{running} is under way; wait for its end, GET /admin/resync tells")));
        }
        *report = Report::default();
        *seen = Seen { number: seen.number + 1, job: Some(job), running: true, begun_ms: now_ms, ..Seen::default() };
        Ok(report.clone())
    }

    /// The job is over.
    pub fn end(&self, outcome: Result<Value, String>, now_ms: TimestampMs) {
        let mut inside = self.0.lock();
        let (seen, report) = &mut *inside;
        seen.running = false;
        seen.ended_ms = Some(now_ms);
        seen.progress = Shown::of(report);
        match outcome {
            Ok(outcome) => seen.outcome = Some(outcome),
            Err(error) => seen.error = Some(error),
        }
    }

    /// How it stands.
    pub fn seen(&self) -> Seen {
        let inside = self.0.lock();
        let (seen, report) = &*inside;
        let mut seen = seen.clone();
        if seen.running {
            seen.progress = Shown::of(report);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_at_a_time_and_what_came_of_the_last_one_stays_to_be_seen() {
        let board = Board::default();
        assert_eq!(board.seen(), Seen::default());
        board.begin(Job::Bootstrap, 5).unwrap();
        assert!(matches!(board.begin(Job::Refresh, 6), Err(Trouble::Busy(_))));
        board.end(Err("no".to_owned()), 9);
        let seen = board.seen();
        assert_eq!((seen.number, seen.running, seen.ended_ms, seen.error.as_deref()), (1, false, Some(9), Some("no")));
        board.begin(Job::Refresh, 10).unwrap();
        assert_eq!((board.seen().number, board.seen().error), (2, None));
    }

    #[test]
    fn users_are_ids_and_only_of_a_refresh() {
        let order = |text| serde_json::from_str::<JobOrder>(text).unwrap();
        assert_eq!(order(r#"{"job":"bootstrap"}"#), JobOrder::BOOTSTRAP);
        assert!(order(r#"{"job":"bootstrap","all":true}"#).check(IdKind::U64).is_err());
        assert_eq!(order(r#"{"job":"restore"}"#).check(IdKind::U64), Err(JobOrder::NO_RESTORE.to_owned()));
        let some = order(r#"{"job":"refresh","users":["7","9"]}"#);
        assert_eq!(some.whose(IdKind::U64), Ok(Whose::These(vec![Id(7), Id(9)])));
        assert!(some.check(IdKind::Uuid).is_err());
        assert_eq!(order(r#"{"job":"refresh"}"#).whose(IdKind::U64), Ok(Whose::Active));
        assert!(serde_json::from_str::<JobOrder>(r#"{"job":"refresh","user":[]}"#).is_err());
    }
}
