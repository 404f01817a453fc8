//! The database as Debezium's snapshot found it: every row there was at one log position.

use edgefeed_storage::model::DAY_MS;

use super::World;
use super::cast::Role;
use super::fact::{Fact, Op, TableRow};
use super::mix::Stream;

/// A lazy run of facts.
pub(super) type Facts<'w> = Box<dyn Iterator<Item = Fact> + 'w>;

impl World {
    /// The rows of the ordinary population and the users of the cast, table by table.
    pub(super) fn snapshot_rows(&self) -> Facts<'_> {
        let rows = self
            .user_rows()
            .chain(self.old_post_rows())
            .chain(self.old_follow_rows())
            .chain(self.old_blocks())
            .chain(self.old_likes())
            .chain(self.old_comments());
        let at = self.snapshot_ms();
        Box::new(rows.map(move |row| Fact::row(at, Op::Snapshot, row)))
    }

    /// How many of `count` rows the snapshot found; the others come through the log.
    pub(super) const fn found_by_snapshot(count: u32) -> u32 {
        count / 2
    }

    fn user_rows(&self) -> impl Iterator<Item = TableRow> {
        let everybody = self.people.regular + Role::ALL.len() as u32;
        (0..everybody).map(|user| TableRow::User { id: self.people.id(user) })
    }

    fn old_post_rows(&self) -> impl Iterator<Item = TableRow> {
        (0..self.posts.written_by(self.snapshot_ms())).map(|post| self.post_row(post))
    }

    fn old_follow_rows(&self) -> impl Iterator<Item = TableRow> {
        let at = self.snapshot_ms() - 30 * DAY_MS;
        (0..self.people.regular).flat_map(move |user| {
            let idols = if self.people.is_fan(user) { self.cast.idols() } else { &[] };
            let ordinary = self.people.follows_of(user).into_iter();
            ordinary
                .chain(idols.iter().map(|role| self.people.regular + role.number()))
                .map(move |author| self.follow_row(user, author, at))
        })
    }

    fn old_blocks(&self) -> impl Iterator<Item = TableRow> {
        (0..Self::found_by_snapshot(self.config.blocks))
            .map(|index| self.block_row(index, self.before_snapshot(Stream::Block, index)))
    }

    fn old_likes(&self) -> impl Iterator<Item = TableRow> {
        (0..Self::found_by_snapshot(self.config.like_rows))
            .map(|index| self.like_row(index, self.before_snapshot(Stream::Like, index)))
    }

    fn old_comments(&self) -> impl Iterator<Item = TableRow> {
        (0..Self::found_by_snapshot(self.config.comment_rows))
            .map(|index| self.comment_row(index, self.before_snapshot(Stream::Comment, index)))
    }
}
