//! The cast: a viewer and authors who play the cases that drawn data would miss. Nobody else reads, likes or blocks
//! them, so each case stands as it is written in [`script`](super::script).

use edgefeed_storage::model::{Id, TimestampMs};

use super::fact::{Fact, Op, TableRow};
use super::people::People;
use super::posts::PostRef;
use super::script::Script;

/// A member of the cast. Unless said otherwise the viewer follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Through whose eyes the cases are seen; follows popular ordinary authors too.
    Viewer,
    /// Writes at the same moments as `TwinB`; every eighth ordinary user follows both.
    TwinA,
    /// Writes at the same moments as `TwinA`.
    TwinB,
    /// Writes at the ends of the windows; every eighth ordinary user follows along.
    Edge,
    /// Has blocked the viewer.
    Blocking,
    /// Was blocked by the viewer, who had liked the posts.
    Blocked,
    /// Was blocked by the viewer and is no longer.
    Unblocked,
    /// The viewer hid the posts.
    Hidden,
    /// Deleted some posts and restored others.
    Removed,
    /// The viewer viewed the posts about 24 hours ago.
    Seen,
    /// Not followed; the viewer likes the posts.
    Admired,
    /// Not followed; the viewer's one like was on the first day that still counts.
    Remembered,
    /// Not followed; the viewer's one like was on the last day that no longer counts.
    Forgotten,
    /// Not followed; was shown to the viewer and never read.
    Glimpsed,
    /// No longer followed.
    Left,
    /// Followed, left and followed again.
    Returned,
    /// Not followed; the posts go round.
    Viral,
}

impl Role {
    /// Everybody in the cast; a member's number is the place here.
    pub const ALL: [Self; 17] = [
        Self::Viewer,
        Self::TwinA,
        Self::TwinB,
        Self::Edge,
        Self::Blocking,
        Self::Blocked,
        Self::Unblocked,
        Self::Hidden,
        Self::Removed,
        Self::Seen,
        Self::Admired,
        Self::Remembered,
        Self::Forgotten,
        Self::Glimpsed,
        Self::Left,
        Self::Returned,
        Self::Viral,
    ];

    pub(super) const fn number(self) -> u32 {
        self as u32
    }
}

/// What a post of the cast is there for. "Now" is the end of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// Pairs by two authors in the same millisecond, with equal standing and no engagement: equal scores.
    Twins,
    /// Two by one author in the same millisecond.
    OwnTwins,
    /// Exactly 24 hours old.
    At24h,
    /// 1 ms older than 24 hours.
    Beyond24h,
    /// Exactly 72 hours old: the last a followed author is read for.
    At72h,
    /// 1 ms older than 72 hours.
    Beyond72h,
    /// By `Admired`, exactly 14 days old: the last affinity reaches.
    At14d,
    /// By `Admired`, 1 ms older than 14 days.
    Beyond14d,
    /// Written in this very millisecond.
    AtNow,
    /// Dated 1 ms ahead.
    Ahead,
    /// Dated a day ahead.
    FarAhead,
    /// By an author who has blocked the viewer.
    Blocking,
    /// By an author the viewer has blocked.
    Blocked,
    /// By an author the viewer no longer blocks.
    Unblocked,
    /// Hidden by the viewer; one of the two hides arrived weeks late.
    Hidden,
    /// Deleted softly.
    SoftDeleted,
    /// Deleted firmly.
    HardDeleted,
    /// Deleted softly and restored.
    Restored,
    /// Edited; the edit says of author and time only that they are unchanged.
    Toasted,
    /// Viewed exactly 24 hours ago.
    ViewedAt24h,
    /// Viewed 24 hours and 1 ms ago.
    ViewedBeyond24h,
    /// Viewed 1 ms less than 24 hours ago.
    ViewedWithin24h,
    /// The viewer's own.
    Own,
    /// Liked by the viewer's past: an unfollowed author of high affinity.
    Admired,
    /// Of an author whose affinity comes from the first of the 90 days.
    Remembered,
    /// Of an author whose affinity lies one day too far back.
    Forgotten,
    /// Of an author with impressions only: affinity 0, no candidate by affinity.
    Glimpsed,
    /// Of an author no longer followed.
    Left,
    /// Of an author followed again.
    Returned,
    /// Of an unfollowed author, shared a lot; its events stand at the ends of the hourly windows.
    Viral,
}

/// A post of the cast and its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CastPost {
    /// What it is there for.
    pub case: Case,
    /// Whose it is.
    pub role: Role,
    /// The post.
    pub post: PostRef,
    /// When its row was written; differs from `created_at` for posts dated ahead.
    pub inserted_ms: TimestampMs,
}

/// The special cases of a world, all of them in every world.
#[derive(Clone, Debug)]
pub struct Cast {
    ids: Vec<Id>,
    posts: Vec<CastPost>,
    snapshot: Vec<TableRow>,
    snapshot_ms: TimestampMs,
    script: Vec<Fact>,
}

impl Cast {
    pub(super) fn new(people: &People, first_post: u32, snapshot_ms: TimestampMs, now_ms: TimestampMs) -> Self {
        let ids: Vec<Id> = Role::ALL.into_iter().map(|role| people.id(people.regular + role.number())).collect();
        let script = Script::written(people, &ids, first_post, snapshot_ms, now_ms);
        let (posts, snapshot, script) = script.finish();
        Self { ids, posts, snapshot, snapshot_ms, script }
    }

    /// The id of a member.
    pub fn id(&self, role: Role) -> Id {
        self.ids.get(role as usize).copied().unwrap_or(Id(0))
    }

    /// Every post of the cast.
    pub fn posts(&self) -> &[CastPost] {
        &self.posts
    }

    /// The posts of one case, in the order they were written.
    pub fn of(&self, case: Case) -> impl Iterator<Item = PostRef> {
        self.posts.iter().filter(move |post| post.case == case).map(|post| post.post)
    }

    /// Whom ordinary fans follow.
    pub(super) const fn idols(&self) -> &'static [Role] {
        &[Role::TwinA, Role::TwinB, Role::Edge]
    }

    /// The cast's rows (users aside) in the database's snapshot.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Fact> {
        self.snapshot.iter().map(|row| Fact::row(self.snapshot_ms, Op::Snapshot, *row))
    }

    /// What the cast does after the snapshot, rising in time.
    pub(super) fn script(&self) -> impl Iterator<Item = Fact> {
        self.script.iter().copied()
    }
}
