//! What becomes of a fact later: producers repeat themselves, rows are edited, deleted and come back, connectors
//! send again what they sent before a restart.

use std::cmp::Ordering;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use edgefeed_storage::model::{Action, HOUR_MS, TimestampMs};

use super::config::WorldConfig;
use super::fact::{EventFact, Fact, Op, RowFact, TableRow, What};
use super::mix::{Dice, Stream};

/// Facts that wait for their time, the earliest first; those of one time in the order they were put in.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    waiting: BinaryHeap<Reverse<Entry>>,
    entered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    order: u64,
    fact: Fact,
}

impl Agenda {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn next_time(&self) -> Option<TimestampMs> {
        self.waiting.peek().map(|Reverse(entry)| entry.fact.time_ms)
    }

    pub(super) fn push(&mut self, fact: Fact) {
        self.waiting.push(Reverse(Entry { order: self.entered, fact }));
        self.entered += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Fact> {
        self.waiting.pop().map(|Reverse(entry)| entry.fact)
    }
}

impl Entry {
    const fn rank(&self) -> (TimestampMs, u64) {
        (self.fact.time_ms, self.order)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Entry {}

/// Puts on the agenda what follows from `fact`, the `number`th of its log, within about `reach_ms`.
pub(super) fn follow_up(agenda: &mut Agenda, config: &WorldConfig, fact: &Fact, number: u64, reach_ms: i64) {
    let mut dice = Dice::new(config.seed, Stream::FollowUp, number);
    match &fact.what {
        What::Event(event) => repeat(agenda, config, fact.time_ms, *event, &mut dice),
        What::Row(row) => {
            if row.op != Op::Snapshot && dice.chance(0.005) {
                // A connector's restart: the very same change again, moments later.
                agenda.push(Fact { time_ms: fact.time_ms + 1 + dice.within_ms(2_000), ..*fact });
            }
            // Later than any repetition of the row's beginning.
            let at = fact.time_ms + 10_000 + dice.within_ms(reach_ms);
            row_fate(agenda, config.churn_share, row, at, &mut dice);
        }
    }
}

/// The producer sends an event twice: within half an hour, every tenth long after it can be remembered.
/// Every eighth near repeat says something else under the same id.
fn repeat(agenda: &mut Agenda, config: &WorldConfig, at: TimestampMs, event: EventFact, dice: &mut Dice) {
    if !dice.chance(config.repeat_share) {
        return;
    }
    if dice.below(10) == 0 {
        let after = 3 * HOUR_MS + HOUR_MS / 6 + dice.within_ms(3 * HOUR_MS);
        agenda.push(Fact::event(at + after, event));
        return;
    }
    let mut again = event;
    if event.event_id.is_some() && dice.below(8) == 0 {
        again.action = Action::Share;
        again.dwell_ms = 0;
    }
    agenda.push(Fact::event(at + 1 + dice.within_ms(HOUR_MS / 2), again));
}

fn row_fate(agenda: &mut Agenda, churn: f64, fact: &RowFact, at: TimestampMs, dice: &mut Dice) {
    let back_at = at + 10_000 + dice.within_ms(HOUR_MS);
    let gone = |row| Fact::row(at, Op::Delete, row);
    match fact.row {
        TableRow::Post { .. } if dice.chance(churn) => post_fate(agenda, fact, at, back_at, dice),
        TableRow::Like { user, post, .. } if dice.chance(churn) => {
            agenda.push(gone(fact.row));
            if dice.chance(0.3) {
                agenda.push(Fact::row(back_at, Op::Create, TableRow::Like { user, post, created_at: back_at }));
            }
        }
        TableRow::Follow { follower, following, .. } if dice.chance(churn / 10.0) => {
            agenda.push(gone(fact.row));
            if dice.chance(0.3) {
                let row = TableRow::Follow { follower, following, created_at: back_at };
                agenda.push(Fact::row(back_at, Op::Create, row));
            }
        }
        TableRow::Comment { .. } if dice.chance(churn) => agenda.push(gone(fact.row)),
        TableRow::Block { .. } if dice.chance(0.1) => agenda.push(gone(fact.row)),
        _ => {}
    }
}

/// An edited, a softly or firmly deleted, or a restored post.
fn post_fate(agenda: &mut Agenda, fact: &RowFact, at: TimestampMs, back_at: TimestampMs, dice: &mut Dice) {
    let TableRow::Post { id, author, created_at, .. } = fact.row else { return };
    let luck = dice.below(5);
    let edited = |deleted_at| TableRow::Post { id, author, created_at, deleted_at, toasted: luck.is_multiple_of(2) };
    match luck {
        0 => agenda.push(Fact::row(at, Op::Delete, fact.row)),
        1 => agenda.push(Fact::row(at, Op::Update, edited(Some(at)))),
        2 => {
            agenda.push(Fact::row(at, Op::Update, edited(Some(at))));
            agenda.push(Fact::row(back_at, Op::Update, edited(None)));
        }
        3 if fact.op == Op::Create => {
            // A restart right after a quick edit: the older version arrives once more and must change nothing.
            let at = fact.commit_ms + 3_000;
            agenda.push(Fact::row(at, Op::Update, edited(None)));
            agenda.push(Fact { time_ms: at + 500, what: What::Row(*fact) });
        }
        _ => agenda.push(Fact::row(at, Op::Update, edited(None))),
    }
}
