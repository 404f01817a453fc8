//! The range of offsets that one insert covers, as it is written ahead to the group and named by its token. Pure.

use std::fmt;

/// What a group commit says of a partition: where to go on, in which epoch, and which range may have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The last offset of the range that begins at the committed offset and may have been sent; `None`: nothing was.
    pub(crate) through: Option<i64>,
    /// Raised whenever the log is read anew.
    pub(crate) epoch: u32,
}

impl Mark {
    /// Reads the metadata of a commit. `None`: it is not ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mut through, mut epoch) = (None, None);
        for part in text.split(';') {
            match part.split_once(':')? {
                ("p", value) if through.is_none() => through = Some(value.parse().ok().filter(|end: &i64| *end >= 0)?),
                ("e", value) if epoch.is_none() => epoch = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(Self { through, epoch: epoch? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(end) = self.through {
            write!(f, "p:{end};")?;
        }
        write!(f, "e:{}", self.epoch)
    }
}

/// Offsets `first..=last` of one partition in one epoch: what one insert covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) epoch: u32,
}

/// What tokens are made of beside the range. Nothing here changes with an upgrade.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) group: &'a str,
    pub(crate) table: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
}

impl Range {
    /// The name under which ClickHouse takes the range once.
    pub(crate) fn token(self, scope: Scope<'_>) -> String {
        let Scope { cluster, group, table, topic, partition } = scope;
        let Self { first, last, epoch } = self;
        format!("{cluster}:{epoch}:{group}:{table}:{topic}:{partition}:{first}-{last}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_comes_back_as_it_was_written(through in proptest::option::of(0..i64::MAX), epoch: u32) {
            let mark = Mark { through, epoch };
            prop_assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
    }

    #[test]
    fn the_metadata_is_what_the_contract_says() {
        assert_eq!(Mark { through: Some(41), epoch: 3 }.to_string(), "p:41;e:3");
        assert_eq!(Mark { through: None, epoch: 0 }.to_string(), "e:0");
    }

    #[test]
    fn a_commit_of_somebody_else_is_not_ours() {
        for foreign in ["", "p:4", "x", "p:-1;e:0", "p:;e:0", "e:0;e:1", "p:1;e:-1", "p:1;e:0;v:2", "hello;e:0"] {
            assert_eq!(Mark::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn tokens_differ_wherever_two_ranges_differ() {
        let scope = Scope { cluster: "eu", group: "g", table: "events", topic: "events", partition: 1 };
        let range = Range { first: 1, last: 2, epoch: 0 };
        let tokens = [
            range.token(scope),
            range.token(Scope { cluster: "us", ..scope }),
            range.token(Scope { group: "h", ..scope }),
            range.token(Scope { table: "posts_cdc", ..scope }),
            range.token(Scope { topic: "cdc.posts", ..scope }),
            range.token(Scope { partition: 12, ..scope }),
            Range { epoch: 1, ..range }.token(scope),
            Range { first: 12, ..range }.token(scope),
            Range { last: 3, ..range }.token(scope),
        ];
        let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len());
    }
}
