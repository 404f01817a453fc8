//! What the group's commits carry beside their offset: the write-ahead of a range, and the epoch.

use std::fmt;

/// The metadata of a commit: `p:<E>;e:<epoch>` while the range that begins at the committed offset and ends with E may
/// be at the center or not, `e:<epoch>` when no range is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last offset of the range begun.
    pub pending_through: Option<i64>,
    /// The epoch.
    pub epoch: u32,
}

impl Mark {
    /// Reads a commit's metadata; `None` for one that the sink did not write, an empty one included.
    pub fn parse(metadata: &str) -> Option<Self> {
        let (pending_through, rest) = match metadata.strip_prefix("p:") {
            Some(rest) => {
                let (end, rest) = rest.split_once(';')?;
                (Some(digits(end)?), rest)
            }
            None => (None, metadata),
        };
        let epoch = u32::try_from(digits(rest.strip_prefix("e:")?)?).ok()?;
        Some(Self { pending_through, epoch })
    }
}

fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(end) = self.pending_through {
            write!(f, "p:{end};")?;
        }
        write!(f, "e:{}", self.epoch)
    }
}

/// What the group has committed for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The offset.
    pub offset: i64,
    /// The metadata; `None` when another tool wrote the commit.
    pub mark: Option<Mark>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_what_others_write_is_none() {
        for mark in [
            Mark { pending_through: None, epoch: 0 },
            Mark { pending_through: Some(0), epoch: u32::MAX },
            Mark { pending_through: Some(i64::MAX), epoch: 3 },
        ] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        assert_eq!(Mark { pending_through: Some(9), epoch: 2 }.to_string(), "p:9;e:2");
        for text in ["", "e:", "e:-1", "e:+1", "p:5", "p:5;", "p:;e:1", "p:5;e:1;", "e:4294967296", "NONE", "e:1;p:5"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}
