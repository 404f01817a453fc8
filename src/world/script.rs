//! Who of the cast does what and when: the special cases, one paragraph each.

use edgefeed_storage::model::{Action, DAY_MS, HOUR_MS, Id, TimestampMs, day_of};

use super::cast::{Case, CastPost, Role};
use super::events::MAX_AHEAD_MS;
use super::fact::{EventFact, Fact, Op, TableRow};
use super::mix::{Dice, Stream, id_of, uuid_bits};
use super::people::People;
use super::posts::PostRef;

/// The cast's facts while they are written down, in any order.
pub(super) struct Script<'a> {
    people: &'a People,
    ids: &'a [Id],
    next_post: u32,
    snapshot_ms: TimestampMs,
    now: TimestampMs,
    posts: Vec<CastPost>,
    snapshot: Vec<TableRow>,
    facts: Vec<Fact>,
}

const MINUTE_MS: i64 = 60_000;

impl<'a> Script<'a> {
    /// Every case.
    pub(super) fn written(
        people: &'a People,
        ids: &'a [Id],
        next_post: u32,
        snapshot_ms: TimestampMs,
        now: TimestampMs,
    ) -> Self {
        let (posts, snapshot, facts) = (Vec::new(), Vec::new(), Vec::new());
        let mut script = Self { people, ids, next_post, snapshot_ms, now, posts, snapshot, facts };
        script.follows();
        script.equal_scores();
        script.window_ends();
        script.blocks();
        script.hides();
        script.deletes();
        script.views();
        script.affinity();
        script.going_round();
        script
    }

    /// The posts, the rows the snapshot finds, and the rest in order of time.
    pub(super) fn finish(mut self) -> (Vec<CastPost>, Vec<TableRow>, Vec<Fact>) {
        self.facts.sort_by_key(|fact| fact.time_ms);
        (self.posts, self.snapshot, self.facts)
    }

    /// The viewer follows the cast but those who are not to be followed, and a few popular ordinary authors.
    fn follows(&mut self) {
        use Role::{Admired, Forgotten, Glimpsed, Remembered, Viewer, Viral};
        for role in Role::ALL {
            if ![Viewer, Admired, Remembered, Forgotten, Glimpsed, Viral].contains(&role) {
                self.snapshot.push(self.follow(role));
            }
        }
        for author in 0..10.min(self.people.regular) {
            self.snapshot.push(TableRow::Follow {
                follower: self.id(Viewer),
                following: self.people.id(author),
                created_at: self.snapshot_ms - DAY_MS,
            });
        }
        self.row(self.now - 2 * DAY_MS, Op::Delete, self.follow(Role::Left));
        self.row(self.now - 2 * DAY_MS, Op::Delete, self.follow(Role::Returned));
        self.row(self.now - DAY_MS, Op::Create, self.follow(Role::Returned));
        for hours in [5, 30] {
            self.write(Case::Left, Role::Left, self.now - hours * HOUR_MS);
            self.write(Case::Returned, Role::Returned, self.now - hours * HOUR_MS);
            self.write(Case::Own, Role::Viewer, self.now - hours * HOUR_MS);
        }
    }

    /// Two authors without any engagement write at the same moments; one of them twice at once.
    fn equal_scores(&mut self) {
        for hours in 1..=12 {
            self.write(Case::Twins, Role::TwinA, self.now - hours * HOUR_MS);
            self.write(Case::Twins, Role::TwinB, self.now - hours * HOUR_MS);
        }
        self.write(Case::OwnTwins, Role::TwinA, self.now - 90 * MINUTE_MS);
        self.write(Case::OwnTwins, Role::TwinA, self.now - 90 * MINUTE_MS);
    }

    fn window_ends(&mut self) {
        let now = self.now;
        let ends = [(Case::At24h, Case::Beyond24h, DAY_MS), (Case::At72h, Case::Beyond72h, 3 * DAY_MS)];
        for (at, beyond, age) in ends {
            self.write(at, Role::Edge, now - age);
            self.write(beyond, Role::Edge, now - age - 1);
        }
        self.write(Case::At14d, Role::Admired, now - 14 * DAY_MS);
        self.write(Case::Beyond14d, Role::Admired, now - 14 * DAY_MS - 1);
        self.write(Case::AtNow, Role::Edge, now);
        self.write(Case::Ahead, Role::Edge, now + 1);
        self.write(Case::FarAhead, Role::Edge, now + DAY_MS);
    }

    /// Blocked both ways, once before the snapshot and once after; one block is taken back.
    fn blocks(&mut self) {
        for (case, role) in
            [(Case::Blocking, Role::Blocking), (Case::Blocked, Role::Blocked), (Case::Unblocked, Role::Unblocked)]
        {
            let first = self.write(case, role, self.now - 2 * HOUR_MS);
            self.write(case, role, self.now - 40 * HOUR_MS);
            self.act(self.now - HOUR_MS, first, Action::Like);
        }
        self.snapshot.push(self.block(Role::Blocking, Role::Viewer));
        self.snapshot.push(self.block(Role::Viewer, Role::Unblocked));
        self.row(self.now - 3 * HOUR_MS, Op::Create, self.block(Role::Viewer, Role::Blocked));
        self.row(self.now - 3 * HOUR_MS, Op::Delete, self.block(Role::Viewer, Role::Unblocked));
    }

    /// One hide at once, one by a phone that was in a drawer for 60 days.
    fn hides(&mut self) {
        let post = self.write(Case::Hidden, Role::Hidden, self.now - 6 * HOUR_MS);
        self.act(self.now - 5 * HOUR_MS, post, Action::Hide);
        let post = self.write(Case::Hidden, Role::Hidden, self.now - 7 * HOUR_MS);
        self.act_late(self.now - HOUR_MS, self.now - 60 * DAY_MS, post, Action::Hide);
    }

    fn deletes(&mut self) {
        let now = self.now;
        for hours in [8, 9 * 24] {
            let written = now - hours * HOUR_MS;
            let soft = self.write(Case::SoftDeleted, Role::Removed, written);
            self.edit(now - 3 * HOUR_MS, soft, Some(now - 3 * HOUR_MS), false);
            let hard = self.write(Case::HardDeleted, Role::Removed, written);
            let row = post_row(hard, None, false);
            self.row(now - 3 * HOUR_MS, Op::Delete, row);
            let restored = self.write(Case::Restored, Role::Removed, written);
            self.edit(now - 3 * HOUR_MS, restored, Some(now - 3 * HOUR_MS), true);
            self.edit(now - 2 * HOUR_MS, restored, None, true);
            let toasted = self.write(Case::Toasted, Role::Removed, written);
            self.edit(now - HOUR_MS, toasted, None, true);
        }
    }

    /// Views exactly 24 hours old and a millisecond to either side. Reported at once.
    fn views(&mut self) {
        let ends = [(Case::ViewedBeyond24h, -1), (Case::ViewedAt24h, 0), (Case::ViewedWithin24h, 1)];
        for (case, shift) in ends {
            let post = self.write(case, Role::Seen, self.now - 26 * HOUR_MS);
            let at = self.now - DAY_MS + shift;
            self.act(at, post, Action::View);
        }
    }

    /// Authors the viewer does not follow, and what the viewer once did with their posts.
    fn affinity(&mut self) {
        let now = self.now;
        let loved = self.write(Case::Admired, Role::Admired, now - 100 * HOUR_MS);
        for minutes in 0..6 {
            self.act(now - 2 * DAY_MS - minutes * MINUTE_MS, loved, Action::Like);
        }
        self.write(Case::Admired, Role::Admired, now - 10 * HOUR_MS);

        let first_day = (i64::from(day_of(now)) - 89) * DAY_MS;
        let post = self.write(Case::Remembered, Role::Remembered, now - 10 * HOUR_MS);
        self.act_late(now - HOUR_MS, first_day, post, Action::Like);
        // As late as a record may be, to the millisecond.
        let post = self.write(Case::Forgotten, Role::Forgotten, now - 10 * HOUR_MS);
        self.act_late(now - HOUR_MS, now - HOUR_MS - 90 * DAY_MS, post, Action::Like);

        let post = self.write(Case::Glimpsed, Role::Glimpsed, now - 10 * HOUR_MS);
        self.act(now - 9 * HOUR_MS, post, Action::Impression);
    }

    /// Shares in the oldest bucket of each window and in the one before it, and one from a clock five minutes ahead.
    fn going_round(&mut self) {
        let post = self.write(Case::Viral, Role::Viral, self.now - 100 * HOUR_MS);
        for hours in [0, 1, 2, 23, 24, 25] {
            for _ in 0..3 {
                self.act_by(Role::TwinA, self.now - hours * HOUR_MS, self.now - hours * HOUR_MS, post, Action::Share);
            }
        }
        let ahead = self.now - MINUTE_MS;
        self.act_by(Role::TwinB, ahead, ahead + MAX_AHEAD_MS, post, Action::Share);
    }

    fn id(&self, role: Role) -> Id {
        self.ids.get(role as usize).copied().unwrap_or(Id(0))
    }

    fn follow(&self, author: Role) -> TableRow {
        TableRow::Follow {
            follower: self.id(Role::Viewer),
            following: self.id(author),
            created_at: self.snapshot_ms - DAY_MS,
        }
    }

    fn block(&self, blocker: Role, blocked: Role) -> TableRow {
        let created_at = self.snapshot_ms - DAY_MS;
        TableRow::Block { blocker: self.id(blocker), blocked: self.id(blocked), created_at }
    }

    /// A new post: found by the snapshot or told by the log, never later than now.
    fn write(&mut self, case: Case, role: Role, created_at: TimestampMs) -> PostRef {
        let id = id_of(self.people.ids, self.people.seed, Stream::PostId, u64::from(self.next_post));
        self.next_post += 1;
        let post = PostRef { id, author: self.id(role), created_at };
        let inserted_ms = if created_at > self.now { self.now - 10 * MINUTE_MS } else { created_at };
        self.posts.push(CastPost { case, role, post, inserted_ms });
        if inserted_ms <= self.snapshot_ms {
            self.snapshot.push(post_row(post, None, false));
        } else {
            self.row(inserted_ms, Op::Create, post_row(post, None, false));
        }
        post
    }

    fn row(&mut self, at: TimestampMs, op: Op, row: TableRow) {
        self.facts.push(Fact::row(at, op, row));
    }

    fn edit(&mut self, at: TimestampMs, post: PostRef, deleted_at: Option<TimestampMs>, toasted: bool) {
        self.row(at, Op::Update, post_row(post, deleted_at, toasted));
    }

    /// The viewer acts and the log hears of it at once.
    fn act(&mut self, at: TimestampMs, post: PostRef, action: Action) {
        self.act_by(Role::Viewer, at, at, post, action);
    }

    fn act_late(&mut self, at: TimestampMs, event_time: TimestampMs, post: PostRef, action: Action) {
        self.act_by(Role::Viewer, at, event_time, post, action);
    }

    fn act_by(&mut self, who: Role, at: TimestampMs, event_time: TimestampMs, post: PostRef, action: Action) {
        // The ordinary events count up from 0; these count down from the top.
        let mut dice = Dice::new(self.people.seed, Stream::EventId, u64::MAX - self.facts.len() as u64);
        let dwell_ms = if action == Action::View { 4_000 } else { 0 };
        self.facts.push(Fact::event(
            at,
            EventFact {
                event_id: Some(uuid_bits(&mut dice)),
                event_time,
                user: self.id(who),
                post: post.id,
                author: Some(post.author),
                action,
                dwell_ms,
            },
        ));
    }
}

const fn post_row(post: PostRef, deleted_at: Option<TimestampMs>, toasted: bool) -> TableRow {
    TableRow::Post { id: post.id, author: post.author, created_at: post.created_at, deleted_at, toasted }
}
