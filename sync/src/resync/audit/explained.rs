//! Differences that follow from others: a row that is wrong where it stands in the log makes sums and counts differ, and the
//! node's row seem another. Each defect is told once, at its root; what follows from it is looked at again once that is
//! put right.

use std::collections::BTreeSet;

use edgefeed_storage::model::{Day, IdKind, TimestampMs, day_of, hour_of};

use super::expect::{CountsFor, Name};
use super::finding::Verdict;
use crate::center::audit::{Counted, SumKey};
use crate::center::{Table, View};

impl Verdict {
    /// Leaves out what follows from rows that are wrong where they stand in the log.
    pub(super) fn leave_out_what_follows(&mut self, ids: IdKind) {
        let names: BTreeSet<(Table, Name)> =
            self.misplaced.iter().filter_map(|wrong| Some((wrong.table, wrong.name?))).collect();
        self.disputed.retain(|row| !names.contains(&(row.table, Name::Row(row.key))));
        let events: Vec<CountsFor> = self.misplaced.iter().filter_map(|wrong| wrong.counts_for).collect();
        let sums: BTreeSet<SumKey> = events.iter().flat_map(|event| sums_of(ids, event)).collect();
        self.sums.retain(|sum| !sums.contains(&sum.key));
        let counts: BTreeSet<(Counted, Vec<String>)> = events.iter().flat_map(|event| counts_of(ids, event)).collect();
        self.counters.retain(|count| !counts.contains(&(count.counted, count.key.clone())));
    }
}

/// The rows of views that an event counts for.
fn sums_of(ids: IdKind, event: &CountsFor) -> Vec<SumKey> {
    let arrived = day_of(event.arrived);
    let (post, day) = (ids.format(event.post), date(day_of(event.event_time)));
    let mut keys = vec![
        SumKey { view: View::Hourly, arrived, key: vec![post.clone(), hour(event.event_time)] },
        SumKey { view: View::Daily, arrived, key: vec![post, day.clone()] },
    ];
    if let Some(author) = event.author {
        let key = vec![ids.format(event.user), ids.format(author), day];
        keys.push(SumKey { view: View::Affinity, arrived, key });
    }
    keys
}

/// The counts of a node that an event is part of.
fn counts_of(ids: IdKind, event: &CountsFor) -> Vec<(Counted, Vec<String>)> {
    let hours = vec![ids.format(event.post), hour_of(event.event_time).to_string()];
    let mut keys = vec![(Counted::Hours, hours)];
    if let Some(author) = event.author {
        let (arrived, day) = (day_of(event.arrived).to_string(), day_of(event.event_time).to_string());
        keys.push((Counted::Pairs, vec![ids.format(event.user), ids.format(author), arrived, day]));
    }
    keys
}

/// A day as the server writes it.
pub(super) fn date(day: Day) -> String {
    let days = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(i64::from(day)));
    days.map_or_else(|_| day.to_string(), |date| date.to_string())
}

/// The start of an hour as the server writes it.
fn hour(time: TimestampMs) -> String {
    format!("{} {:02}:00:00", date(day_of(time)), hour_of(time) % 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_read_as_the_server_writes_them() {
        let time = 1_795_376_817_860;
        assert_eq!((date(day_of(time)), hour(time)), ("2026-11-22".to_owned(), "2026-11-22 19:00:00".to_owned()));
    }
}
