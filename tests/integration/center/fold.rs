//! What the center must hold once it has taken a log in, worked out from what the records were made to mean.

use std::collections::BTreeMap;

use super::log::{Change, DAY, Entry, EventRow, HOUR, Means, Row, Source};

/// Views, impressions, likes, comments, shares, milliseconds; then the latest time of an event.
pub(crate) type Sums = [u64; 7];

/// A place in one topic.
pub(crate) type Place = (u32, i64);

#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    /// The first of each event id, with its record's time.
    pub(crate) events: BTreeMap<Place, (EventRow, i64)>,
    /// By post, start of the hour in seconds, day of arrival.
    pub(crate) hours: BTreeMap<(u128, i64, i64), Sums>,
    /// By post, day, day of arrival.
    pub(crate) days: BTreeMap<(u128, i64, i64), Sums>,
    /// By user, author, day, day of arrival.
    pub(crate) pairs: BTreeMap<(u128, u128, i64, i64), Sums>,
    /// The latest version of each row; `None` where it was deleted.
    pub(crate) rows: BTreeMap<(Source, Vec<u128>), (u64, Option<Row>)>,
    /// Records that must be dead letters, as they were written.
    pub(crate) bad: BTreeMap<(Source, u32, i64), Vec<u8>>,
}

impl Fold {
    pub(crate) fn of<'a>(log: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut fold = Self::default();
        log.into_iter().for_each(|entry| fold.take(entry));
        fold
    }

    pub(crate) fn take(&mut self, entry: &Entry) {
        match &*entry.means {
            Means::Event(row) => self.event(entry, row),
            Means::Change(change) => self.change(entry.source, change),
            Means::Bad => {
                let place = (entry.source, entry.partition, entry.offset);
                self.bad.insert(place, entry.value.clone().unwrap());
            }
            Means::Repeat | Means::Nothing => {}
        }
    }

    /// What the views make of it, as if both logs had come in.
    pub(crate) fn and_views_of(mut self, other: &Self) -> Self {
        merge(&mut self.hours, &other.hours);
        merge(&mut self.days, &other.days);
        merge(&mut self.pairs, &other.pairs);
        self
    }

    fn event(&mut self, entry: &Entry, row: &EventRow) {
        self.events.insert((entry.partition, entry.offset), (row.clone(), entry.time_ms));
        let mut sums = [0, 0, 0, 0, 0, u64::from(row.dwell_ms), u64::try_from(row.time_ms).unwrap()];
        let counted = ["view", "impression", "like", "comment", "share"].iter().position(|name| *name == row.action);
        match counted {
            Some(at) => sums[at] = 1,
            // A hide counts for nothing; the time spent on it is kept.
            None if row.dwell_ms == 0 => return,
            None => {}
        }
        let (day, arrival) = (row.time_ms.div_euclid(DAY), entry.time_ms.div_euclid(DAY));
        let hour_s = row.time_ms.div_euclid(HOUR) * 3_600;
        add(self.hours.entry((row.post, hour_s, arrival)).or_default(), &sums);
        add(self.days.entry((row.post, day, arrival)).or_default(), &sums);
        if let Some(author) = row.author {
            add(self.pairs.entry((row.user, author, day, arrival)).or_default(), &sums);
        }
    }

    fn change(&mut self, source: Source, change: &Change) {
        let held = self.rows.entry((source, change.key.clone())).or_insert((0, None));
        if change.lsn > held.0 {
            *held = (change.lsn, change.row.clone());
        }
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, Sums>, other: &BTreeMap<K, Sums>) {
    other.iter().for_each(|(key, sums)| add(into.entry(key.clone()).or_default(), sums));
}

fn add(sum: &mut Sums, more: &Sums) {
    for (at, number) in more.iter().enumerate() {
        sum[at] = if at == 6 { sum[at].max(*number) } else { sum[at] + number };
    }
}
