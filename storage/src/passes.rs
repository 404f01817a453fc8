//! For jobs that look at every post in memory, again and again.

#[cfg(test)]
mod tests;

use crate::hot::{Look, PostFacts, PostNo};
use crate::store::Store;

/// Slots under one lock at a time: readers and `apply` go on in between.
const STRIDE: usize = 4096;

/// How far somebody has followed the posts in memory; not at all yet, to begin with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress(Option<Look>);

/// What somebody who follows the posts in memory is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// Nothing that was told before holds any more.
    Anew,
    /// This post is new in its place or has changed.
    Post(PostNo, &'a PostFacts),
    /// There is no post in this place any more.
    Gone(PostNo),
}

impl Store {
    /// Tells of the posts in memory what is new since `progress`; everything with an event of late is among them. What
    /// changes meanwhile may be told now or the next time.
    pub fn follow_posts(&self, progress: &mut Progress, mut tell: impl FnMut(Told<'_>)) {
        while !self.follow_once(progress, &mut tell) {
            // The projection started over in the middle of it.
            progress.0 = None;
        }
    }

    fn follow_once(&self, progress: &mut Progress, tell: &mut impl FnMut(Told<'_>)) -> bool {
        let (now, since) = {
            let hot = self.hot.read();
            (hot.look(), progress.0.filter(|look| hot.is_as_at(*look)))
        };
        if since.is_none() {
            tell(Told::Anew);
        }
        let mut from = 0;
        loop {
            let hot = self.hot.read();
            if !hot.is_as_at(now) {
                return false;
            }
            let end = (from + STRIDE).min(hot.slots());
            for (place, post) in hot.changed(from..end, since) {
                match post {
                    Some(post) => tell(Told::Post(place, post)),
                    None => tell(Told::Gone(place)),
                }
            }
            if end == hot.slots() {
                progress.0 = Some(now);
                return true;
            }
            from = end;
        }
    }
}
