//! What came after the snapshot: one lazy run of facts a table and one of events, each rising in time.

use edgefeed_storage::model::TimestampMs;

use super::World;
use super::fact::{Fact, Op, TableRow};
use super::snapshot::Facts;

impl World {
    /// The runs whose merge is the log after the snapshot.
    pub(super) fn runs(&self) -> Vec<Facts<'_>> {
        let config = &self.config;
        let follows = (config.users.saturating_mul(config.follows_mean)) / 100;
        vec![
            self.new_posts(),
            self.new_rows(0, follows, Self::new_follow_row),
            self.new_rows(Self::found_by_snapshot(config.blocks), config.blocks, Self::block_row),
            self.new_rows(Self::found_by_snapshot(config.like_rows), config.like_rows, Self::like_row),
            self.new_rows(Self::found_by_snapshot(config.comment_rows), config.comment_rows, Self::comment_row),
            Box::new((0..config.events).map(|index| self.logged_event(index, self.spread(index, config.events)))),
        ]
    }

    fn new_posts(&self) -> Facts<'_> {
        let first = self.posts.written_by(self.snapshot_ms());
        Box::new(
            (first..self.posts.count())
                .map(|post| Fact::row(self.posts.created_at(post), Op::Create, self.post_row(post))),
        )
    }

    fn new_rows(&self, from: u32, to: u32, row: fn(&Self, u32, TimestampMs) -> TableRow) -> Facts<'_> {
        let count = u64::from(to.saturating_sub(from));
        Box::new((from..to).map(move |index| {
            let at = self.spread(u64::from(index - from), count);
            Fact::row(at, Op::Create, row(self, index, at))
        }))
    }

    /// The time of fact `index` of `count`, spread evenly over the log, its end included for none.
    fn spread(&self, index: u64, count: u64) -> TimestampMs {
        let span = u128::from((self.config.now_ms - self.snapshot_ms()).unsigned_abs());
        let share = span * u128::from(index * 2 + 1) / (u128::from(count.max(1)) * 2);
        self.snapshot_ms() + share as i64
    }
}
