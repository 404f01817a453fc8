//! The population: ids, who follows whom. Popularity and diligence fall off as powers of a user's number.

use edgefeed_storage::model::{Id, IdKind};

use super::mix::{Dice, Stream, id_of};

/// Every how many ordinary users one follows the cast's authors.
const FAN_EVERY: u32 = 8;

/// Users by number: `0..regular` are drawn, the cast follows after them.
#[derive(Clone, Debug)]
pub(super) struct People {
    pub(super) seed: u64,
    pub(super) ids: IdKind,
    pub(super) regular: u32,
    pub(super) follows_mean: u32,
}

impl People {
    /// The id of a user.
    pub(super) fn id(&self, user: u32) -> Id {
        id_of(self.ids, self.seed, Stream::UserId, u64::from(user))
    }

    /// Somebody who reads, the keen more often. Authors of low number are famous and write most; readers of high
    /// number read most.
    pub(super) fn reader(&self, dice: &mut Dice) -> u32 {
        self.regular.saturating_sub(1) - dice.busy(self.regular)
    }

    /// Somebody, the famous far more often.
    pub(super) fn celebrity(&self, dice: &mut Dice) -> u32 {
        dice.famous(self.regular)
    }

    /// How many draws make up a user's follows: a Pareto tail of exponent 2 around the mean.
    pub(super) fn slots(&self, user: u32) -> u32 {
        let mut dice = Dice::new(self.seed, Stream::FollowCount, u64::from(user));
        // Some draws name the same author twice; a tenth more makes up for it.
        let least = f64::from(self.follows_mean) * 0.55;
        let most = (self.regular / 2).min(self.follows_mean * 25).max(1);
        ((least / (1.0 - dice.unit()).sqrt()) as u32).clamp(1, most)
    }

    /// The author a user's draw names; may be the user.
    pub(super) fn follow(&self, user: u32, slot: u32) -> u32 {
        let index = u64::from(user) << 32 | u64::from(slot);
        Dice::new(self.seed, Stream::Follow, index).famous(self.regular)
    }

    /// An author the user follows.
    pub(super) fn followed_by(&self, user: u32, dice: &mut Dice) -> u32 {
        let slot = dice.below(u64::from(self.slots(user))) as u32;
        self.follow(user, slot)
    }

    /// The ordinary authors a user follows, each once, ascending.
    pub(super) fn follows_of(&self, user: u32) -> Vec<u32> {
        let mut authors: Vec<u32> =
            (0..self.slots(user)).map(|slot| self.follow(user, slot)).filter(|author| *author != user).collect();
        authors.sort_unstable();
        authors.dedup();
        authors
    }

    /// Whether an ordinary user also follows the cast's authors.
    pub(super) const fn is_fan(&self, user: u32) -> bool {
        user < self.regular && user.is_multiple_of(FAN_EVERY)
    }
}
