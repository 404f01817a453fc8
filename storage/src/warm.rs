//! The store read into memory as a whole: after a start, and when the projection had to start over. It takes a second or so,
//! and nothing stands still for it: readers are answered from what there is, `apply` goes on, and what it changes meanwhile
//! is read once more.

#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::hot::Hot;
use crate::model::TimestampMs;
use crate::spool::Overlay;
use crate::store::Store;

/// So few posts are read again while `apply` waits.
const FEW: usize = 256;
/// How often what changed is read again before that, however much it is: each time it is less, or `apply` has to wait.
const ROUNDS: usize = 8;
/// Posts read again under one lock.
const CHUNK: usize = 64;

impl Store {
    /// Reads everything that fits into the projection.
    pub fn warm(&self, now_ms: TimestampMs) -> Result<()> {
        let _alone = self.warming.lock();
        // Readers gain by it too, whose pages are read from the same files meanwhile.
        self.engine.fetch(self.budget.hot_bytes)?;
        {
            let no_apply = self.writer.read();
            // What is spooled stands in none of the families that are read.
            self.hot.write().follow(no_apply.overlay().posts());
        }
        let warmed = self.warm_beside(now_ms);
        if warmed.is_err() {
            self.hot.write().unfollow();
        }
        warmed
    }

    /// Reads a second projection and puts it in the place of the first, which notes what changes.
    fn warm_beside(&self, now_ms: TimestampMs) -> Result<()> {
        let budget = self.budget.hot_bytes;
        let mut loaded = Hot::load_all(self.source(&Overlay::default()), budget, now_ms)?;
        for _ in 0..ROUNDS {
            let noted = self.hot.write().take_noted();
            let Some(posts) = noted else { break };
            let posts: Vec<_> = posts.into_iter().collect();
            for some in posts.chunks(CHUNK) {
                let no_apply = self.writer.read();
                for post in some {
                    loaded.renew(self.source(no_apply.overlay()), *post, now_ms)?;
                }
            }
            if posts.len() <= FEW {
                break;
            }
        }
        let no_apply = self.writer.read();
        let noted = self.hot.write().take_noted();
        match noted {
            Some(posts) => {
                for post in posts {
                    loaded.renew(self.source(no_apply.overlay()), post, now_ms)?;
                }
            }
            None => loaded = Hot::load_all(self.source(no_apply.overlay()), budget, now_ms)?,
        }
        self.hot.write().replace(loaded);
        Ok(())
    }
}
