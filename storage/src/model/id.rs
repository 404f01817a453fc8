//! Ids: one number type, two kinds of deployment.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user, post or comment id. Orders as a number, whatever kind the deployment uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub u128);

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({:x})", self.0)
    }
}

/// Which kind of id a deployment uses (`node.ids`): one choice, fixed at the store's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    /// 128-bit ids, written `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    Uuid,
    /// 64-bit unsigned integers, written in decimal.
    U64,
}

impl IdKind {
    /// Bytes an id of this kind takes in a key.
    pub const fn width(self) -> usize {
        match self {
            Self::Uuid => 16,
            Self::U64 => 8,
        }
    }

    /// Reads an id in its canonical text form; `None` when it is of the other kind or malformed.
    pub fn parse(self, text: &str) -> Option<Id> {
        match self {
            Self::Uuid if text.len() == 36 => uuid::Uuid::try_parse(text).ok().map(|uuid| Id(uuid.as_u128())),
            Self::U64 if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse::<u64>().ok().map(|number| Id(u128::from(number)))
            }
            _ => None,
        }
    }

    /// The canonical text form of an id.
    pub fn format(self, id: Id) -> String {
        match self {
            Self::Uuid => uuid::Uuid::from_u128(id.0).to_string(),
            Self::U64 => id.0.to_string(),
        }
    }

    /// The lower-case name used in configuration and on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::U64 => "u64",
        }
    }
}
