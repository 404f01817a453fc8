//! What spooled events add to the hourly counters of posts.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::{Counters, Hour, Id};

/// Sums by post and hour of what is spooled, and of nothing else.
#[derive(Debug, Default)]
pub(crate) struct Overlay(HashMap<Id, BTreeMap<Hour, Counters>>);

impl Overlay {
    pub(super) fn add(&mut self, post: Id, hour: Hour, counters: &Counters) {
        if *counters != Counters::default() {
            self.0.entry(post).or_default().entry(hour).or_default().add(counters);
        }
    }

    pub(super) fn take(&mut self, post: Id, hour: Hour, counters: &Counters) {
        let Some(hours) = self.0.get_mut(&post) else { return };
        if let Some(sum) = hours.get_mut(&hour) {
            sum.take(counters);
            if *sum == Counters::default() {
                hours.remove(&hour);
            }
        }
        if hours.is_empty() {
            self.0.remove(&post);
        }
    }

    /// The posts with anything spooled.
    pub(crate) fn posts(&self) -> impl Iterator<Item = Id> {
        self.0.keys().copied()
    }

    /// The sums of one post from an hour on, ascending.
    pub(crate) fn hours_of(&self, post: Id, from: Hour) -> impl Iterator<Item = (Hour, Counters)> {
        self.0.get(&post).into_iter().flat_map(move |hours| hours.range(from..)).map(|(hour, sum)| (*hour, *sum))
    }
}
