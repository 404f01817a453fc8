//! Rows of the application's tables, by number: the same row whether the snapshot read it or the log told it.

use edgefeed_storage::model::{DAY_MS, TimestampMs};

use super::World;
use super::fact::TableRow;
use super::mix::{Dice, Stream, id_of};

impl World {
    /// The row of an ordinary post; one in a hundred was deleted softly before anybody could read its row.
    pub(super) fn post_row(&self, post: u32) -> TableRow {
        let written = self.posts.get(post, &self.people);
        let deleted = Dice::new(self.config.seed, Stream::Row, u64::from(post)).below(100) == 0;
        TableRow::Post {
            id: written.id,
            author: written.author,
            created_at: written.created_at,
            deleted_at: deleted.then_some(written.created_at),
            toasted: false,
        }
    }

    /// Row `index` of `likes`, written at `at`.
    pub(super) fn like_row(&self, index: u32, at: TimestampMs) -> TableRow {
        let mut dice = Dice::new(self.config.seed, Stream::Like, u64::from(index));
        let reader = self.people.reader(&mut dice);
        let post = self.some_post(reader, at, &mut dice);
        TableRow::Like { user: self.people.id(reader), post: post.id, created_at: at }
    }

    /// Row `index` of `comments`, written at `at`.
    pub(super) fn comment_row(&self, index: u32, at: TimestampMs) -> TableRow {
        let mut dice = Dice::new(self.config.seed, Stream::Comment, u64::from(index));
        let reader = self.people.reader(&mut dice);
        let post = self.some_post(reader, at, &mut dice);
        let id = id_of(self.config.ids, self.config.seed, Stream::CommentId, u64::from(index));
        TableRow::Comment { id, post: post.id, user: self.people.id(reader), created_at: at }
    }

    /// Row `index` of `blocks`: readers block authors they follow and, every other time, are blocked by them.
    pub(super) fn block_row(&self, index: u32, at: TimestampMs) -> TableRow {
        let mut dice = Dice::new(self.config.seed, Stream::Block, u64::from(index));
        let reader = self.people.reader(&mut dice);
        let author = self.people.followed_by(reader, &mut dice);
        let (reader, author) = (self.people.id(reader), self.people.id(author));
        let (blocker, blocked) = if index.is_multiple_of(2) { (reader, author) } else { (author, reader) };
        TableRow::Block { blocker, blocked, created_at: at }
    }

    /// Row `index` of the follows that came after the snapshot; at times one that was there already.
    pub(super) fn new_follow_row(&self, index: u32, at: TimestampMs) -> TableRow {
        let mut dice = Dice::new(self.config.seed, Stream::NewFollow, u64::from(index));
        let follower = self.people.reader(&mut dice);
        let author = self.people.celebrity(&mut dice);
        let author = if author == follower { (author + 1) % self.people.regular } else { author };
        self.follow_row(follower, author, at)
    }

    pub(super) fn follow_row(&self, follower: u32, author: u32, at: TimestampMs) -> TableRow {
        TableRow::Follow { follower: self.people.id(follower), following: self.people.id(author), created_at: at }
    }

    /// A time up to 14 days before the snapshot, for rows it found.
    pub(super) fn before_snapshot(&self, stream: Stream, index: u32) -> TimestampMs {
        // The row's own dice begin at `index`; these must not repeat them.
        let mut dice = Dice::new(!self.config.seed, stream, u64::from(index));
        let oldest = (self.snapshot_ms() - (self.config.now_ms - i64::from(self.config.post_days) * DAY_MS)).max(1);
        self.snapshot_ms() - 1 - dice.within_ms(oldest)
    }
}
