//! Another set of numbers for a share of the users, the same users on every node.

use edgefeed_storage::model::Id;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Overrides, Preset};

/// The longest name, in bytes: it is part of versions.
const NAME_MAX_BYTES: usize = 32;

/// The `[ranking.experiment]` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Experiment {
    /// What the set is called in versions and metrics.
    pub name: String,
    /// The share of the users, 0 to 1; 0: no experiment.
    pub share: f64,
    /// Decides which users: another salt draws others. Empty: the name.
    pub salt: String,
    /// The numbers put over those of `[ranking]`.
    pub numbers: Overrides,
}

impl Experiment {
    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.share > 0.0
    }

    /// Whether a user is among the share. Nothing of the node or of the time goes into it.
    pub fn draws(&self, user: Id) -> bool {
        if !self.is_on() {
            return false;
        }
        let salt = if self.salt.is_empty() { &self.name } else { &self.salt };
        let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(user.0.to_be_bytes()).finalize();
        // The head of a digest, as a number from 0 to below 1.
        let head = digest.first_chunk::<4>().map_or(0, |head| u32::from_be_bytes(*head));
        f64::from(head) / 4_294_967_296.0 < self.share
    }

    /// What is wrong with it, without its numbers.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(0.0..=1.0).contains(&self.share) {
            problems.push(format!("ranking.experiment.share is {}; use a number from 0 to 1", self.share));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if self.is_on() && !((1..=NAME_MAX_BYTES).contains(&self.name.len()) && self.name.bytes().all(plain)) {
            let name = &self.name;
            let mend = format!("use 1 to {NAME_MAX_BYTES} lower-case letters, digits, '_' and '-'");
            problems.push(format!("ranking.experiment.name {name:?} is not a plain name; {mend}"));
        } else if Preset::of(&self.name).is_some() {
            problems.push(format!("ranking.experiment.name {:?} is a preset's; choose another", self.name));
        }
        problems
    }
}
