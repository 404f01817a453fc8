//! Numbers that look random and are functions of (seed, stream, index): nothing about an item need be stored,
//! any item can be made without the ones before it, and no library upgrade changes the bytes.

use edgefeed_storage::model::{Id, IdKind};

/// What a number is for. Two streams of one seed have nothing in common.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Stream {
    UserId = 1,
    PostId,
    CommentId,
    EventId,
    PostTime,
    PostAuthor,
    FollowCount,
    Follow,
    NewFollow,
    Like,
    Comment,
    Block,
    Event,
    FollowUp,
    Row,
    Live,
}

/// The finaliser of SplitMix64: a bijection of 64 bits that scatters neighbours.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The draws that belong to one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64, stream: Stream, index: u64) -> Self {
        Self(mix(mix(seed ^ mix(stream as u64)).wrapping_add(index)))
    }

    /// The next 64 bits.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0.0..1.0`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(bound)) >> 64) as u64
    }

    /// The same for a span of time in milliseconds.
    pub(super) fn within_ms(&mut self, span_ms: i64) -> i64 {
        self.below(span_ms.max(0) as u64) as i64
    }

    /// True with the probability `share`.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A rank below `count`, rank r drawn about as often as (r + 1)^-0.8: fame.
    pub(super) fn famous(&mut self, count: u32) -> u32 {
        let root = f64::from(count).powf(0.2);
        let x = self.unit() * (root - 1.0) + 1.0;
        rank(x * x * x * x * x, count)
    }

    /// A rank below `count`, rank r drawn about as often as (r + 1)^-0.5: diligence.
    pub(super) fn busy(&mut self, count: u32) -> u32 {
        let x = self.unit() * (f64::from(count).sqrt() - 1.0) + 1.0;
        rank(x * x, count)
    }

    /// An index below `count`, small ones far more often: how far back a reader looks.
    pub(super) fn recent(&mut self, count: u32) -> u32 {
        let x = self.unit();
        ((x * x * x * x * x * f64::from(count)) as u32).min(count.saturating_sub(1))
    }
}

/// The continuous draw `1.0..=count` as a rank from 0.
fn rank(x: f64, count: u32) -> u32 {
    (x as u32).saturating_sub(1).min(count.saturating_sub(1))
}

/// The id of the item `index` of a stream: a version 4 UUID, or a positive number that fits PostgreSQL's `bigint`.
pub(super) fn id_of(kind: IdKind, seed: u64, stream: Stream, index: u64) -> Id {
    let mut dice = Dice::new(seed, stream, index);
    match kind {
        IdKind::U64 => Id(u128::from((dice.roll() >> 1).max(1))),
        IdKind::Uuid => Id(uuid_bits(&mut dice)),
    }
}

/// 122 drawn bits and the version and variant of a random UUID.
pub(super) fn uuid_bits(dice: &mut Dice) -> u128 {
    let bits = u128::from(dice.roll()) << 64 | u128::from(dice.roll());
    bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62
}
