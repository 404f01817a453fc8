//! The first places of a ranking by numbers that are not in force.

use edgefeed_storage::StoreError;
use edgefeed_storage::model::{Id, TimestampMs};

use super::Feed;
use super::candidates::Candidates;
use crate::cursor::Served;
use crate::ranking::{self, select};
use crate::tuning::{Numbers, PLACES, Recent, Report, Sets, Shown, replay};

impl Feed {
    /// What other sets would make of these requests at `now_ms`, against those in force. Reads memory, and the store for
    /// readers who are not there: call it where that may wait.
    pub fn replay(&self, requests: &[Recent], new: &Sets, now_ms: TimestampMs) -> Result<Report, StoreError> {
        replay(requests, &self.tuning.sets(), new, now_ms, |viewer, numbers| self.first_places(viewer, numbers, now_ms))
    }

    fn first_places(&self, viewer: Id, numbers: &Numbers, now_ms: TimestampMs) -> Result<Vec<Shown>, StoreError> {
        let config = &numbers.config;
        let trending = self.trending.latest(&self.store, now_ms);
        let mut view = self.store.view(viewer, now_ms)?;
        let candidates = Candidates::ranked(&mut view, config, &trending, &Served::default(), now_ms)?;
        let posts = ranking::best_first(&candidates.score(&view, config, now_ms));
        let order = select::space(posts.iter().map(|post| post.author), &config.spacing, PLACES);
        let shown = order.into_iter().filter_map(|rank| {
            let post = posts.get(rank)?;
            Some(Shown { id: post.id, author: view.author_id(post.author)?, created_at: post.created_at })
        });
        Ok(shown.collect())
    }
}
