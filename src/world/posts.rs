//! The ordinary posts: when each was written and by whom, and an author's posts in order.

use edgefeed_storage::model::{DAY_MS, Id, TimestampMs};

use super::mix::{Dice, Stream, id_of};
use super::people::People;

/// Every how many posts one is written in the same millisecond as the post before it.
const TWIN_EVERY: u64 = 20;

/// A post as readers and writers of rows refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostRef {
    /// Its id.
    pub id: Id,
    /// Who wrote it.
    pub author: Id,
    /// When.
    pub created_at: TimestampMs,
}

/// Posts by number, oldest first. Two words a post are kept (the index by author), nothing else.
#[derive(Clone, Debug)]
pub(super) struct Posts {
    seed: u64,
    count: u32,
    start_ms: TimestampMs,
    span_ms: i64,
    /// Where each author's numbers begin in `by_author`; one more entry than authors.
    offsets: Vec<u32>,
    by_author: Vec<u32>,
}

impl Posts {
    /// `count` posts over the `days` before `now_ms`, by the ordinary users.
    pub(super) fn new(seed: u64, count: u32, days: u16, now_ms: TimestampMs, authors: u32) -> Self {
        let span_ms = i64::from(days.max(1)) * DAY_MS;
        let mut posts =
            Self { seed, count, start_ms: now_ms - span_ms, span_ms, offsets: Vec::new(), by_author: Vec::new() };
        posts.index(authors);
        posts
    }

    /// A counting sort: numbers ascend within an author, so times do.
    fn index(&mut self, authors: u32) {
        let mut ends = vec![0u32; authors as usize + 1];
        let written: Vec<u32> = (0..self.count).map(|post| self.author(post, authors)).collect();
        for author in &written {
            ends[*author as usize + 1] += 1;
        }
        for author in 0..authors as usize {
            ends[author + 1] += ends[author];
        }
        self.offsets.clone_from(&ends);
        self.by_author = vec![0; self.count as usize];
        for (post, author) in (0u32..).zip(&written) {
            let place = &mut ends[*author as usize];
            self.by_author[*place as usize] = post;
            *place += 1;
        }
    }

    /// How many ordinary posts there are.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The author's number: half of the posts are by anybody, half rather by the diligent.
    pub(super) fn author(&self, post: u32, authors: u32) -> u32 {
        let mut dice = Dice::new(self.seed, Stream::PostAuthor, u64::from(post));
        if dice.chance(0.5) { dice.busy(authors) } else { dice.below(u64::from(authors)) as u32 }
    }

    /// When a post was written; never falls from one number to the next.
    pub(super) fn created_at(&self, post: u32) -> TimestampMs {
        let dice = |post: u32| Dice::new(self.seed, Stream::PostTime, u64::from(post));
        let twin = post > 0 && dice(post).below(TWIN_EVERY) == 0;
        let slot = if twin { post - 1 } else { post };
        let begin = |slot: u32| self.span_ms * i64::from(slot) / i64::from(self.count.max(1));
        let mut draw = dice(slot);
        draw.roll();
        self.start_ms + begin(slot) + draw.within_ms(begin(slot + 1) - begin(slot))
    }

    /// How many posts were written at or before `at`.
    pub(super) fn written_by(&self, at: TimestampMs) -> u32 {
        let share = (at - self.start_ms).clamp(0, self.span_ms);
        let guess = share * i64::from(self.count) / self.span_ms + 2;
        let mut count = guess.min(i64::from(self.count)) as u32;
        while count > 0 && self.created_at(count - 1) > at {
            count -= 1;
        }
        count
    }

    /// The post as rows refer to it.
    pub(super) fn get(&self, post: u32, people: &People) -> PostRef {
        PostRef {
            id: self.id(post, people),
            author: people.id(self.author(post, people.regular)),
            created_at: self.created_at(post),
        }
    }

    /// The id of a post; numbers past the ordinary posts belong to the cast.
    pub(super) fn id(&self, post: u32, people: &People) -> Id {
        id_of(people.ids, self.seed, Stream::PostId, u64::from(post))
    }

    /// A post by `author` that a reader at `at` would come upon, the newest most likely.
    pub(super) fn by(&self, author: u32, at: TimestampMs, dice: &mut Dice) -> Option<u32> {
        let author = author as usize;
        let (from, to) = (*self.offsets.get(author)?, *self.offsets.get(author + 1)?);
        let posts = self.by_author.get(from as usize..to as usize)?;
        let written = posts.partition_point(|post| self.created_at(*post) <= at);
        let back = dice.recent(written as u32) as usize;
        posts.get(written.checked_sub(back + 1)?).copied()
    }

    /// A post of the last two days that is making the round at `at`: new and attractive.
    pub(super) fn making_the_round(&self, at: TimestampMs, dice: &mut Dice) -> u32 {
        let written = self.written_by(at).max(1);
        let two_days = (2 * DAY_MS * i64::from(self.count) / self.span_ms) as u32;
        let fresh = two_days.clamp(1, written);
        let post = written - 1 - dice.recent(fresh).min(written - 1);
        // Every second post is twice as attractive, every fourth four times, and so on: the tail of fame.
        let doublings = fresh.ilog2().clamp(1, 11);
        post & (u32::MAX << dice.below(u64::from(doublings)))
    }
}
