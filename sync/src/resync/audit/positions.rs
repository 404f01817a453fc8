//! The center's rows held against the log, offset by offset.
//!
//! A row must stand where its record stood and say what that says. A record without a row is lost, unless the center holds
//! the same event from elsewhere, or a newer version of the row.

use std::collections::BTreeMap;

use edgefeed_storage::model::{Id, RowKey, TimestampMs, TopicPartition, Version};
use tokio::sync::mpsc;

use super::expect::{Name, Row};
use super::finding::{Kind, Misplaced, Verdict};
use super::log::Stretch;
use super::{Audit, Ground, Result};
use crate::center::Table;
use crate::center::audit::{HeldAt, LogPlace};
use crate::resync::Error;
use crate::start::Extent;

/// Names looked up by one query.
const LOOK_UP: usize = 5_000;
/// Stretches read ahead.
const AHEAD: usize = 1;

impl Audit {
    /// Compares what the center holds of one partition.
    pub(super) async fn positions(
        &self,
        ground: &Ground,
        at: TopicPartition,
        now_ms: TimestampMs,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let Some(table) = Table::of(at.topic) else { return Ok(()) };
        verdict.ids = Some(self.ids());
        let name = format!("{}-{}", self.place(at, 0).topic, at.partition);
        let Some(commit) = ground.commits.get(&at) else {
            verdict.unproved.push(format!("{name}: the sink has committed nothing yet"));
            return Ok(());
        };
        let (Some(mark), Some(log)) = (commit.mark, ground.logs.get(&at)) else {
            verdict.unproved.push(format!("{name}: its commit is not the sink's, or its log has no leader"));
            return Ok(());
        };
        let place = self.place(at, mark.epoch);
        // Repeats are known of what this node has applied.
        let applied = self.store.position(at).map_or(0, |position| position.next_offset);
        let log = Extent { start: log.start, end: log.end.min(commit.offset).min(applied).max(log.start) };
        if applied < commit.offset {
            verdict
                .unproved
                .push(format!("{name}: this node has applied {applied}, the center holds {}", commit.offset));
        }
        self.below(table, &place, at, log.start, verdict).await?;
        let (hand, mut stretches) = mpsc::channel(AHEAD);
        let reading = {
            let (audit, place) = (self.clone(), place.clone());
            tokio::task::spawn_blocking(move || audit.read_log(at, &place, log, now_ms, &hand))
        };
        while let Some(stretch) = stretches.recv().await {
            self.stretch(table, &place, at, stretch, verdict).await?;
        }
        reading.await.map_err(|_| Error::Panicked("reading the log"))?
    }

    /// What can be said of rows whose records Kafka no longer has: that none stands twice.
    async fn below(
        &self,
        table: Table,
        place: &LogPlace,
        at: TopicPartition,
        start: i64,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let (offsets, first, last) = self.center.extent_of(table, place, start, self.limit).await?;
        if offsets == 0 {
            return Ok(());
        }
        verdict.compare("rows older than the log", offsets);
        let without = last - first + 1 - offsets;
        if without > 0 {
            verdict.unproved.push(format!(
                "{}-{}: {without} of the offsets {first} to {last} have no row in {}, and Kafka no longer tells whether \
                 they should",
                place.topic,
                place.partition,
                table.name()
            ));
        }
        for (offset, _) in self.center.doubled(table, place, self.limit).await? {
            let offset = i64::try_from(offset).unwrap_or(i64::MAX);
            if offset < start {
                verdict.misplaced.push(wrong(table, place, at, offset, Kind::Doubled));
            }
        }
        Ok(())
    }

    async fn stretch(
        &self,
        table: Table,
        place: &LogPlace,
        at: TopicPartition,
        mut stretch: Stretch,
        verdict: &mut Verdict,
    ) -> Result<()> {
        verdict.truncates.extend(stretch.truncates.iter().map(|version| (table, *version)));
        let (store, offsets) = (std::sync::Arc::clone(&self.store), stretch.offsets.clone());
        let marks = super::blocking(move || Ok(store.marks(at, offsets.start..=offsets.end - 1)?)).await?;
        for dropped in marks {
            stretch.rows.remove(&dropped);
        }
        let held = self.center.held_at(table, place, stretch.offsets.clone(), self.limit).await?;
        verdict.compare(table.name(), stretch.rows.len() as u64);
        let Compared { wrongs, absent } = compare(&stretch.rows, &held);
        for (offset, kind, version) in wrongs {
            let row = stretch.rows.get(&offset);
            verdict.misplaced.push(Misplaced {
                name: row.map(|row| row.name),
                counts_for: row.and_then(|row| row.counts_for),
                // What the record left out is not known here: such a row is told of and left alone.
                row: row.filter(|row| row.content.is_some()).map(|row| row.bytes.clone()),
                version,
                ..wrong(table, place, at, offset, kind)
            });
        }
        for offsets in absent.chunks(LOOK_UP) {
            let rows: Vec<(i64, &Row)> =
                offsets.iter().filter_map(|offset| Some((*offset, stretch.rows.get(offset)?))).collect();
            for (offset, row) in self.lost(table, rows).await? {
                verdict.misplaced.push(Misplaced {
                    name: Some(row.name),
                    counts_for: row.counts_for,
                    row: Some(row.bytes.clone()),
                    version: row.version,
                    ..wrong(table, place, at, offset, Kind::Lost)
                });
            }
        }
        Ok(())
    }

    /// Of rows that do not stand where their records did, those the center has nothing newer of.
    async fn lost<'r>(&self, table: Table, rows: Vec<(i64, &'r Row)>) -> Result<Vec<(i64, &'r Row)>> {
        let mut events: Vec<(Id, u128)> = Vec::new();
        let mut keys: Vec<RowKey> = Vec::new();
        for (_, row) in &rows {
            match row.name {
                Name::Event(user, id) => events.push((user, id)),
                Name::Row(key) => keys.push(key),
            }
        }
        if table == Table::Events {
            let known = self.center.known_events(self.ids(), &events, self.limit).await?;
            let here = |row: &Row| matches!(row.name, Name::Event(_, id) if known.contains(&id));
            return Ok(rows.into_iter().filter(|(_, row)| !here(row)).collect());
        }
        let known = self.center.known_versions(table, self.ids(), &keys, self.limit).await?;
        let superseded = |row: &Row| match row.name {
            Name::Row(key) => known.get(&key).is_some_and(|version| *version >= row.version & Version::MAX_VALUE),
            Name::Event(..) => false,
        };
        Ok(rows.into_iter().filter(|(_, row)| !superseded(row)).collect())
    }
}

/// What a stretch came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    /// Offset, what is wrong, and the version of the row that is there.
    wrongs: Vec<(i64, Kind, u64)>,
    /// Offsets whose rows do not stand there.
    absent: Vec<i64>,
}

/// Holds the rows of a stretch against those the center has there. Pure.
fn compare(expected: &BTreeMap<i64, Row>, held: &[HeldAt]) -> Compared {
    let mut by_offset: BTreeMap<i64, Vec<&HeldAt>> = BTreeMap::new();
    for row in held {
        by_offset.entry(i64::try_from(row.offset).unwrap_or(i64::MAX)).or_default().push(row);
    }
    let mut compared = Compared::default();
    for (offset, rows) in &by_offset {
        let version = rows.iter().map(|row| row.version).max().unwrap_or(0);
        let Some(due) = expected.get(offset) else {
            compared.wrongs.push((*offset, Kind::Foreign, version));
            continue;
        };
        let altered = due.content.is_some_and(|content| rows.iter().any(|row| row.content != content));
        if altered {
            compared.wrongs.push((*offset, Kind::Altered, version));
        } else if rows.len() > 1 {
            compared.wrongs.push((*offset, Kind::Doubled, version));
        }
    }
    compared.absent = expected.keys().filter(|offset| !by_offset.contains_key(offset)).copied().collect();
    compared
}

fn wrong(table: Table, place: &LogPlace, at: TopicPartition, offset: i64, kind: Kind) -> Misplaced {
    Misplaced {
        table,
        at,
        epoch: place.epoch,
        topic: place.topic.clone(),
        offset,
        kind,
        name: None,
        counts_for: None,
        version: 0,
        row: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(content: u64) -> Row {
        Row {
            name: Name::Event(Id(1), u128::from(content)),
            version: 0,
            content: Some(content),
            bytes: Vec::new(),
            counts_for: None,
        }
    }

    fn held(offset: u64, content: u64) -> HeldAt {
        HeldAt { offset, content, version: 0 }
    }

    #[test]
    fn every_way_a_row_can_be_wrong_is_named_and_a_right_one_is_not() {
        let expected = BTreeMap::from([(1, due(10)), (2, due(20)), (3, due(30)), (4, due(40))]);
        let there = [held(1, 10), held(2, 99), held(3, 30), held(3, 30), held(9, 5)];
        let found = compare(&expected, &there);
        assert_eq!(found.wrongs, [(2, Kind::Altered, 0), (3, Kind::Doubled, 0), (9, Kind::Foreign, 0)]);
        assert_eq!(found.absent, [4]);
    }

    #[test]
    fn what_a_record_left_out_is_not_compared() {
        let expected = BTreeMap::from([(1, Row { content: None, ..due(1) })]);
        assert_eq!(compare(&expected, &[held(1, 77)]), Compared::default());
    }
}
