//! The range of offsets that one insert covers, and the token that names it. Pure.

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
    use super::*;

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
