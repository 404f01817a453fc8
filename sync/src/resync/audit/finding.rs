//! What a comparison found: each difference with its side, its kind and what would put it right.

use std::collections::BTreeMap;

use edgefeed_storage::model::{IdKind, RowKey, TimestampMs, TopicPartition};
use serde::Serialize;

use super::counters::Counter;
use super::expect::{CountsFor, Name};
use crate::center::Table;
use crate::center::audit::{StateRow, Sum};

/// Which side has it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// ClickHouse.
    Center,
    /// This node's store.
    Node,
}

impl Side {
    /// The name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Node => "node",
        }
    }
}

/// Sums that add up, of views and of nodes' counts alike: five counts and the time dwelt.
const ADDED_UP: usize = 6;

impl Kind {
    /// The name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Altered => "altered",
            Self::Foreign => "foreign",
        }
    }

    /// What is wrong with sums that differ from what they should be. A last time behind them does not double.
    pub(super) fn of_sums(held: &[u64], due: &[u64]) -> Self {
        let empty = |sums: &[u64]| sums.iter().all(|sum| *sum == 0);
        match (empty(held), empty(due)) {
            (true, _) => Self::Lost,
            (_, true) => Self::Foreign,
            _ if held.iter().zip(due).take(ADDED_UP).all(|(held, due)| *held == 2 * due) => Self::Doubled,
            _ => Self::Altered,
        }
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something that should be there is not.
    Lost,
    /// Something is there more than once.
    Doubled,
    /// It is there and says something else.
    Altered,
    /// Something is there that should not be.
    Foreign,
}

/// One difference, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Finding {
    /// Who has it wrong.
    pub side: Side,
    /// The table, or what of the store.
    pub table: &'static str,
    /// What is wrong.
    pub kind: Kind,
    /// Which row.
    pub key: String,
    /// What is there and what should be, in short.
    pub detail: String,
}

/// A row of the center that is wrong where it stands in the log.
#[derive(Clone, Debug)]
pub(super) struct Misplaced {
    pub(super) table: Table,
    pub(super) at: TopicPartition,
    pub(super) epoch: u32,
    pub(super) topic: String,
    pub(super) offset: i64,
    pub(super) kind: Kind,
    pub(super) name: Option<Name>,
    pub(super) counts_for: Option<CountsFor>,
    pub(super) version: u64,
    /// The row as it should be, encoded; `None` where there should be none, or what it should be is not known.
    pub(super) row: Option<Vec<u8>>,
}

/// A row of the application that node and center have otherwise, newer or alone on one side.
#[derive(Clone, Debug)]
pub(super) struct Disputed {
    pub(super) table: Table,
    pub(super) key: RowKey,
    pub(super) node: Option<StateRow>,
    pub(super) center: Option<StateRow>,
    /// Whose row is wrong.
    pub(super) wrong: Side,
}

/// Everything a comparison came to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// When it began, in epoch milliseconds.
    pub as_of_ms: TimestampMs,
    /// What was compared, by what was compared, in rows.
    pub compared: BTreeMap<&'static str, u64>,
    /// What could not be compared, and why.
    pub unproved: Vec<String>,
    pub(super) ids: Option<IdKind>,
    pub(super) misplaced: Vec<Misplaced>,
    pub(super) sums: Vec<Sum>,
    pub(super) disputed: Vec<Disputed>,
    pub(super) counters: Vec<Counter>,
    /// Versions of truncates met in the log, by table: rows that bear one are right in their way.
    pub(super) truncates: Vec<(Table, u64)>,
}

impl Verdict {
    pub(super) fn new(now_ms: TimestampMs) -> Self {
        Self { as_of_ms: now_ms, ..Self::default() }
    }

    /// Whether nothing differs. What is unproved may differ all the same.
    pub fn is_clean(&self) -> bool {
        self.count() == 0
    }

    /// How many differences there are.
    pub fn count(&self) -> usize {
        self.misplaced.len() + self.sums.len() + self.disputed.len() + self.counters.len()
    }

    /// Differences per row compared: 0 is clean.
    pub fn drift(&self) -> f64 {
        let compared: u64 = self.compared.values().sum();
        if compared == 0 { 0.0 } else { self.count() as f64 / compared as f64 }
    }

    /// Every difference, in order.
    pub fn findings(&self) -> Vec<Finding> {
        let ids = self.ids.unwrap_or(IdKind::Uuid);
        let mut all: Vec<Finding> = self.misplaced.iter().map(|wrong| wrong.told(ids)).collect();
        all.extend(self.sums.iter().map(told_sum));
        all.extend(self.disputed.iter().map(|wrong| wrong.told(ids)));
        all.extend(self.counters.iter().map(Counter::told));
        all.sort();
        all
    }

    pub(super) fn compare(&mut self, what: &'static str, rows: u64) {
        *self.compared.entry(what).or_default() += rows;
    }

    /// Of the versions of one row that are missing, only the newest was due: the others are superseded. Of an event, only
    /// its first record was.
    pub(super) fn settle_positions(&mut self) {
        let truncates = &self.truncates;
        self.misplaced.retain(|wrong| {
            wrong.kind == Kind::Lost
                || !truncates.iter().any(|(table, version)| (*table, *version) == (wrong.table, wrong.version))
        });
        let mut newest: BTreeMap<(Table, String), (u64, i64)> = BTreeMap::new();
        let rank = |wrong: &Misplaced| match wrong.table {
            Table::Events => (0, -wrong.offset),
            _ => (wrong.version, wrong.offset),
        };
        let lost = |wrong: &&Misplaced| wrong.kind == Kind::Lost;
        for wrong in self.misplaced.iter().filter(lost) {
            let Some(name) = &wrong.name else { continue };
            let best = newest.entry((wrong.table, format!("{name:?}"))).or_insert_with(|| rank(wrong));
            *best = rank(wrong).max(*best);
        }
        self.misplaced.retain(|wrong| {
            wrong.kind != Kind::Lost
                || wrong.name.as_ref().is_none_or(|name| {
                    newest.get(&(wrong.table, format!("{name:?}"))).is_none_or(|best| *best == rank(wrong))
                })
        });
    }
}

impl Misplaced {
    fn told(&self, ids: IdKind) -> Finding {
        let detail = match (self.kind, &self.name) {
            (Kind::Lost, Some(name)) => format!("{} is in the log and not here", name.told(ids)),
            (Kind::Doubled, _) => "more than one row stands here".to_owned(),
            (Kind::Altered, Some(name)) => format!("{} says something else than the log", name.told(ids)),
            _ => "the log has no such row here".to_owned(),
        };
        let key = format!("{}-{}@{}", self.topic, self.at.partition, self.offset);
        Finding { side: Side::Center, table: self.table.name(), kind: self.kind, key, detail }
    }
}

impl Disputed {
    /// What is wrong with the row of the side that has it wrong.
    fn kind(&self) -> Kind {
        let (wrong, right) = match self.wrong {
            Side::Center => (&self.center, &self.node),
            Side::Node => (&self.node, &self.center),
        };
        match (wrong, right) {
            (None, _) => Kind::Lost,
            (Some(_), None) => Kind::Foreign,
            (Some(_), Some(_)) => Kind::Altered,
        }
    }

    fn told(&self, ids: IdKind) -> Finding {
        let say = |row: &Option<StateRow>| match row {
            Some(row) => format!("version {} {}", row.version, row.fields.join(" ")).trim_end().to_owned(),
            None => "nothing".to_owned(),
        };
        let detail = format!("node: {}; center: {}", say(&self.node), say(&self.center));
        let key = Name::Row(self.key).told(ids);
        Finding { side: self.wrong, table: self.table.name(), kind: self.kind(), key, detail }
    }
}

fn told_sum(sum: &Sum) -> Finding {
    let kind = Kind::of_sums(&sum.held, &sum.due);
    let key = format!("{} arrived {}", sum.key.key.join(" "), super::explained::date(sum.key.arrived));
    let detail = format!("holds {:?}, events make it {:?}", sum.held, sum.due);
    Finding { side: Side::Center, table: sum.key.view.table(), kind, key, detail }
}
