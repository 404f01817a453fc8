//! Row changes: inserts, updates, deletes with their tombstones, and records of long ago said again.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::shapes::{change_json, key_json};
use super::{Author, Change, DAY, Entry, MINUTE, Means, POSTS, Row, Source, USERS, mix};

/// How many live rows of a table may be changed or deleted, and how many past records be said again.
const REMEMBERED: usize = 2_000;
/// A log position of a database that has been there for a while.
const FIRST_LSN: u64 = 1 << 33;

/// What stands in the application's tables.
#[derive(Default)]
pub(super) struct Tables {
    lsn: u64,
    rows: BTreeMap<Source, Table>,
}

#[derive(Default)]
struct Table {
    made: usize,
    live: Vec<Row>,
    past: VecDeque<(Vec<u8>, Value, Change)>,
}

impl Author {
    /// One change of one row, as one record or as a delete and its tombstone.
    pub(super) fn change(&mut self, time_ms: i64) -> Vec<Entry> {
        let source = *self.dice.pick(&Source::CDC);
        match self.dice.below(100) {
            0..15 => self.update(source, time_ms),
            15..30 => self.delete(source, time_ms),
            30..40 => self.old_record(source, time_ms),
            _ => None,
        }
        .unwrap_or_else(|| self.insert(source, time_ms))
    }

    fn insert(&mut self, source: Source, time_ms: i64) -> Vec<Entry> {
        let number = self.tables.rows.entry(source).or_default().made;
        let (one, other) = (self.hot(USERS), self.dice.below(USERS));
        let post = self.dice.below(POSTS);
        let ids = match source {
            Source::Posts => vec![self.post(number), self.writer_of(number)],
            Source::Comments => vec![self.id(3, number), self.post(post), self.user(one)],
            Source::Likes => vec![self.user(one), self.post(post)],
            Source::Follows | Source::Blocks | Source::Events => vec![self.user(one), self.user(other)],
        };
        let table = self.tables.rows.entry(source).or_default();
        table.made += 1;
        // The same pair again is an update of a row that is there.
        let width = source.key_width();
        let known = table.live.iter().position(|row| row.ids[..width] == ids[..width]);
        let row = Row { ids, created_ms: self.moment(time_ms), deleted_ms: None };
        let table = self.tables.rows.entry(source).or_default();
        match known {
            Some(at) => table.live[at] = row.clone(),
            None => table.live.push(row.clone()),
        }
        if table.live.len() > REMEMBERED {
            let at = self.dice.below(REMEMBERED);
            self.tables.rows.entry(source).or_default().live.swap_remove(at);
        }
        vec![self.write(source, time_ms, if known.is_some() { "u" } else { "c" }, &row, false)]
    }

    fn update(&mut self, source: Source, time_ms: i64) -> Option<Vec<Entry>> {
        let at = self.live(source)?;
        let (moment, soft) = (self.moment(time_ms), self.dice.below(2) == 0);
        let row = &mut self.tables.rows.get_mut(&source)?.live[at];
        row.created_ms = moment;
        if source == Source::Posts {
            row.deleted_ms = soft.then_some(moment + MINUTE);
        }
        let row = row.clone();
        Some(vec![self.write(source, time_ms, "u", &row, false)])
    }

    fn delete(&mut self, source: Source, time_ms: i64) -> Option<Vec<Entry>> {
        let at = self.live(source)?;
        let row = self.tables.rows.get_mut(&source)?.live.swap_remove(at);
        let gone = self.write(source, time_ms, "d", &row, true);
        let place = (source, gone.partition);
        let tombstone = self.entry(place, time_ms, gone.key.clone(), None, Means::Nothing);
        Some(vec![gone, tombstone])
    }

    /// What a connector that was set back says again: word for word, at a later offset.
    fn old_record(&mut self, source: Source, time_ms: i64) -> Option<Vec<Entry>> {
        let known = self.tables.rows.get(&source).map_or(0, |table| table.past.len());
        let at = if known == 0 { return None } else { self.dice.below(known) };
        let (key, value, change) = self.tables.rows[&source].past[at].clone();
        let place = (source, self.partition_of(source, &change.key));
        let value = Some(value.to_string().into_bytes());
        Some(vec![self.entry(place, time_ms, key, value, Means::Change(change))])
    }

    fn live(&mut self, source: Source) -> Option<usize> {
        let known = self.tables.rows.get(&source).map_or(0, |table| table.live.len());
        (known > 0).then(|| self.dice.below(known))
    }

    /// A time a row may bear.
    fn moment(&mut self, time_ms: i64) -> i64 {
        time_ms - self.dice.below(2 * DAY as usize) as i64
    }

    fn partition_of(&self, source: Source, key: &[u128]) -> u32 {
        let folded = key.iter().fold(source as u64, |sum, id| mix(sum ^ (*id as u64) ^ ((*id >> 64) as u64)));
        (folded % u64::from(self.shape.partitions)) as u32
    }

    fn write(&mut self, source: Source, time_ms: i64, op: &str, row: &Row, deleted: bool) -> Entry {
        self.tables.lsn += 8 * self.dice.between(5, 400) as u64;
        let lsn = FIRST_LSN + self.tables.lsn;
        let key = row.ids[..source.key_width()].to_vec();
        let change = Change { key: key.clone(), lsn, row: (!deleted).then(|| row.clone()) };
        let shape = self.dice.below(4);
        let value = change_json(self.shape.ids, source, shape, op, row, lsn, time_ms);
        let key_text = key_json(self.shape.ids, source, &key).to_string().into_bytes();
        let past = &mut self.tables.rows.entry(source).or_default().past;
        past.push_back((key_text.clone(), value.clone(), change.clone()));
        if past.len() > REMEMBERED {
            past.pop_front();
        }
        let place = (source, self.partition_of(source, &key));
        self.entry(place, time_ms, key_text, Some(value.to_string().into_bytes()), Means::Change(change))
    }
}
