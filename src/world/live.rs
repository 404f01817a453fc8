//! Traffic without end: what happens in a world from now on, as fast as somebody asks.

use std::collections::VecDeque;

use edgefeed_storage::model::{Id, TimestampMs};

use super::World;
use super::fact::{Fact, Op, TableRow, What};
use super::followups::{Agenda, follow_up};
use super::history::LogPosition;
use super::mix::{Dice, Stream, id_of, mix};
use super::posts::PostRef;

/// How many posts are talked about at a time.
const TALKED_ABOUT: usize = 2_048;
/// How long after a row its edit, its delete or its return may come.
const REACH_MS: i64 = 10 * 60_000;
/// How much may wait for its time; past it rows and events stay as they are.
const AGENDA_MAX: usize = 100_000;

/// Live traffic. Holds the posts talked about and what is still to follow, both bounded.
#[derive(Clone, Debug)]
pub struct Live<'w> {
    world: &'w World,
    salt: u64,
    told: u64,
    /// Oldest first.
    talk: VecDeque<PostRef>,
    agenda: Agenda,
    position: LogPosition,
    last_ms: TimestampMs,
}

impl<'w> Live<'w> {
    pub(super) fn new(world: &'w World, salt: u64) -> Self {
        let count = world.posts.count();
        let recent = count.saturating_sub(TALKED_ABOUT as u32)..count;
        Self {
            world,
            salt: mix(salt),
            told: 0,
            talk: recent.map(|post| world.posts.get(post, &world.people)).collect(),
            agenda: Agenda::default(),
            // The history's positions depend on its times, so these begin above them.
            position: LogPosition::at(world.config.now_ms + 1_000),
            last_ms: world.config.now_ms,
        }
    }

    /// The next thing that happens, at `now_ms` (UTC milliseconds). Time never falls: an earlier `now_ms` counts as
    /// the last one.
    pub fn next_at(&mut self, now_ms: TimestampMs) -> Fact {
        let now = now_ms.max(self.last_ms);
        self.last_ms = now;
        self.told += 1;
        if self.agenda.next_time().is_some_and(|time| time <= now)
            && let Some(fact) = self.agenda.pop()
        {
            let mut fact = Fact { time_ms: now, ..fact };
            self.position.stamp(&mut fact);
            return fact;
        }
        let mut dice = Dice::new(self.world.config.seed ^ self.salt, Stream::Live, self.told);
        let mut fact = self.something(now, &mut dice);
        self.position.stamp(&mut fact);
        if self.agenda.len() < AGENDA_MAX {
            let number = self.salt.wrapping_add(self.told);
            follow_up(&mut self.agenda, &self.world.config, &fact, number, REACH_MS);
        }
        fact
    }

    /// Eight in ten are client events, the others rows: likes and comments, posts, follows and few blocks.
    fn something(&mut self, now: TimestampMs, dice: &mut Dice) -> Fact {
        let world = self.world;
        let reader = world.people.reader(dice);
        let user = world.people.id(reader);
        let row = match dice.below(1_000) {
            0..=799 => {
                let post = self.some_post(reader, now, dice);
                return Fact::event(now, world.event_about(reader, post, now, dice));
            }
            800..=889 => {
                let post = self.some_post(reader, now, dice).id;
                TableRow::Like { user, post, created_at: now }
            }
            890..=929 => {
                let post = self.some_post(reader, now, dice).id;
                TableRow::Comment { id: self.new_id(Stream::CommentId), post, user, created_at: now }
            }
            930..=969 => self.new_post(now, dice),
            970..=997 => world.follow_row(reader, self.somebody_else(reader, dice), now),
            _ => {
                let other = world.people.id(self.somebody_else(reader, dice));
                TableRow::Block { blocker: user, blocked: other, created_at: now }
            }
        };
        Fact::row(now, Op::Create, row)
    }

    /// Mostly a post that is talked about, the newer and the more attractive of it, else one of a followed author.
    fn some_post(&self, reader: u32, now: TimestampMs, dice: &mut Dice) -> PostRef {
        if dice.chance(0.3) {
            return self.world.some_post(reader, now, dice);
        }
        let count = self.talk.len() as u32;
        let mut candidate = || self.talk.get((count - 1 - dice.recent(count).min(count - 1)) as usize).copied();
        let drawn = [candidate(), candidate(), candidate()];
        let best = drawn.into_iter().flatten().max_by_key(|post| mix(post.id.0 as u64));
        best.unwrap_or_else(|| self.world.some_post(reader, now, dice))
    }

    fn new_post(&mut self, now: TimestampMs, dice: &mut Dice) -> TableRow {
        let id = self.new_id(Stream::PostId);
        let author = self.world.people.id(self.world.people.celebrity(dice));
        if self.talk.len() >= TALKED_ABOUT {
            self.talk.pop_front();
        }
        self.talk.push_back(PostRef { id, author, created_at: now });
        TableRow::Post { id, author, created_at: now, deleted_at: None, toasted: false }
    }

    fn somebody_else(&self, reader: u32, dice: &mut Dice) -> u32 {
        let other = self.world.people.celebrity(dice);
        if other == reader { (other + 1) % self.world.people.regular } else { other }
    }

    fn new_id(&self, stream: Stream) -> Id {
        id_of(self.world.config.ids, self.world.config.seed ^ self.salt, stream, self.told)
    }
}

impl Fact {
    /// Whether this is a client event.
    pub const fn is_event(&self) -> bool {
        matches!(self.what, What::Event(_))
    }
}
