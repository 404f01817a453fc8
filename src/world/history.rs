//! The log of a world: the snapshot, then everything since, merged by time.

use std::iter::Peekable;

use edgefeed_storage::model::TimestampMs;

use super::World;
use super::fact::{Fact, What};
use super::followups::{Agenda, follow_up};
use super::snapshot::Facts;

/// Positions in PostgreSQL's log: they rise with time, by 16 bytes a millisecond at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogPosition(u64);

impl LogPosition {
    /// The position of the snapshot taken at `at`.
    pub(super) const fn at(at: TimestampMs) -> Self {
        Self((at.unsigned_abs()) << 4)
    }

    /// Gives a row its place in the log, unless it has one and is only told again.
    pub(super) fn stamp(&mut self, fact: &mut Fact) {
        if let What::Row(row) = &mut fact.what
            && row.lsn == 0
        {
            self.0 = (self.0 + 1).max(Self::at(fact.time_ms).0);
            row.lsn = self.0;
        }
    }
}

/// The facts of a world in log order, their times rising to [`WorldConfig::now_ms`](super::WorldConfig::now_ms).
///
/// Lazy: it holds what is still to follow (a small share of the world) and nothing of what was told.
pub struct History<'w> {
    world: &'w World,
    snapshot: Facts<'w>,
    /// The cast's rows in the snapshot; what becomes of them is written in its script.
    cast_rows: Facts<'w>,
    runs: Vec<Peekable<Facts<'w>>>,
    script: Peekable<Facts<'w>>,
    agenda: Agenda,
    position: LogPosition,
    told: u64,
}

impl std::fmt::Debug for History<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("told", &self.told).finish_non_exhaustive()
    }
}

impl<'w> History<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self {
            world,
            snapshot: world.snapshot_rows(),
            cast_rows: Box::new(world.cast.snapshot()),
            runs: world.runs().into_iter().map(Iterator::peekable).collect(),
            script: (Box::new(world.cast.script()) as Facts<'w>).peekable(),
            agenda: Agenda::default(),
            position: LogPosition::at(world.snapshot_ms()),
            told: 0,
        }
    }

    /// Notes what follows from a fact, as far as it happens before the history ends.
    fn plan(&mut self, fact: &Fact) {
        let config = &self.world.config;
        let mut later = Agenda::default();
        let reach = config.now_ms - self.world.snapshot_ms();
        follow_up(&mut later, config, fact, self.told, reach);
        while let Some(fact) = later.pop() {
            if fact.time_ms <= config.now_ms {
                self.agenda.push(fact);
            }
        }
    }

    fn snapshot_row(&mut self) -> Option<Fact> {
        let LogPosition(lsn) = self.position;
        let stamp = |mut fact: Fact| {
            if let What::Row(row) = &mut fact.what {
                row.lsn = lsn;
            }
            fact
        };
        if let Some(fact) = self.snapshot.next().map(stamp) {
            self.plan(&fact);
            return Some(fact);
        }
        self.cast_rows.next().map(stamp)
    }

    /// The earliest of the agenda, the script and the runs; on a tie in that order.
    fn earliest(&mut self) -> Option<Fact> {
        let agenda = self.agenda.next_time().map(|time| (time, Source::Agenda));
        let script = self.script.peek().map(|fact| (fact.time_ms, Source::Script));
        let runs = self.runs.iter_mut().enumerate();
        let heads = runs.filter_map(|(run, facts)| Some((facts.peek()?.time_ms, Source::Run(run))));
        let (_, source) = heads.chain(agenda).chain(script).min()?;
        let mut fact = match source {
            Source::Agenda => self.agenda.pop(),
            Source::Script => self.script.next(),
            Source::Run(run) => self.runs.get_mut(run)?.next(),
        }?;
        self.position.stamp(&mut fact);
        if let Source::Run(_) = source {
            self.plan(&fact);
        }
        Some(fact)
    }
}

/// Where the next fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Agenda,
    Script,
    Run(usize),
}

impl Iterator for History<'_> {
    type Item = Fact;

    fn next(&mut self) -> Option<Fact> {
        self.told += 1;
        self.snapshot_row().or_else(|| self.earliest())
    }
}
