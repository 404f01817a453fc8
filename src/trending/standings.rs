//! What posts stand at, kept from one look to the next: within an hour only those with new events stand differently.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use edgefeed_storage::model::{Hour, TimestampMs, hour_of};
use edgefeed_storage::{PostNo, Progress, Store, Told};
use hashbrown::HashMap;

use crate::ranking::trending::{self, Trending, Window, best_first};

/// So many times what is asked for is kept of a window at most, and half of that when the rest is let go.
const MOST: usize = 4;

/// Each window's best posts, and how far the store has been followed for them.
#[derive(Debug, Default)]
pub(super) struct Standings {
    progress: Progress,
    /// The hour they are of.
    hour: Hour,
    windows: [Best; Window::ALL.len()],
}

/// The posts of one window that stand no lower than `floor`; all that stand at all where there is none.
#[derive(Debug, Default)]
struct Best {
    held: HashMap<PostNo, Trending>,
    floor: Option<Trending>,
}

impl Standings {
    /// Brings them up to `now_ms` and gives each window's `kept` best, best first.
    pub(super) fn renew(
        &mut self,
        store: &Store,
        kept: usize,
        now_ms: TimestampMs,
    ) -> [Arc<[Trending]>; Window::ALL.len()] {
        if self.hour != hour_of(now_ms) {
            // Every standing is another now.
            self.hour = hour_of(now_ms);
            self.progress = Progress::default();
        }
        self.follow(store, kept, now_ms);
        if self.windows.iter().any(|best| best.lacks(kept)) {
            // So many have gone that those below the floor are wanted.
            self.progress = Progress::default();
            self.follow(store, kept, now_ms);
        }
        self.windows.each_ref().map(|best| best.first(kept))
    }

    fn follow(&mut self, store: &Store, kept: usize, now_ms: TimestampMs) {
        let Self { progress, windows, .. } = self;
        store.follow_posts(progress, |told| match told {
            Told::Anew => *windows = Default::default(),
            Told::Gone(place) => windows.iter_mut().for_each(|best| best.put(place, None, kept)),
            Told::Post(place, post) => {
                for (best, standing) in windows.iter_mut().zip(trending::standings(post, now_ms)) {
                    best.put(place, standing, kept);
                }
            }
        });
    }
}

impl Best {
    /// A post stands like this now, instead of what was known of its place.
    fn put(&mut self, place: PostNo, standing: Option<Trending>, kept: usize) {
        let high_enough = |post: &Trending| self.floor.is_none_or(|floor| best_first(post, &floor).is_le());
        match standing.filter(high_enough) {
            Some(standing) => {
                self.held.insert(place, standing);
                if self.held.len() > kept * MOST {
                    self.let_go(kept * MOST / 2);
                }
            }
            None => drop(self.held.remove(&place)),
        }
    }

    /// Keeps the best alone.
    fn let_go(&mut self, kept: usize) {
        let mut all: Vec<_> = self.held.drain().collect();
        all.select_nth_unstable_by(kept - 1, |(_, left), (_, right)| best_first(left, right));
        all.truncate(kept);
        self.floor = all.last().map(|(_, worst)| *worst);
        self.held.extend(all);
    }

    fn lacks(&self, kept: usize) -> bool {
        self.floor.is_some() && self.held.len() < kept
    }

    fn first(&self, kept: usize) -> Arc<[Trending]> {
        let mut all: Vec<_> = self.held.values().copied().collect();
        if all.len() > kept {
            all.select_nth_unstable_by(kept, best_first);
            all.truncate(kept);
        }
        all.sort_unstable_by(best_first);
        all.into()
    }
}
