//! Where to begin in a partition that came to this node: a pure decision from what the group holds, what Kafka has,
//! what the center holds, and what this node's store knows. Guesses nothing.

use super::commit::{Commit, Mark};
use super::share::Begin;
use crate::center::Latest;
use crate::start::Extent;

/// Why a partition is not begun; somebody has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The label of the stall.
    pub(crate) reason: &'static str,
    /// What was met.
    pub(crate) detail: String,
}

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// What the group has committed.
    pub(crate) commit: Option<Commit>,
    /// Kafka's log.
    pub(crate) log: Extent,
    /// What the center holds; asked only when the group has nothing.
    pub(crate) center: Option<Latest>,
    /// From which offset on this node's store knows the repeats; `None` where there are none to know.
    pub(crate) marked_from: Option<i64>,
}

/// Decides.
pub(crate) fn begin(known: Known) -> Result<Begin, Refused> {
    let refuse = |reason, detail: String| Err(Refused { reason, detail });
    let Known { commit, log, center, marked_from } = known;
    let begin = match (commit, center) {
        (None, Some(latest)) => {
            let held = latest.max_offset;
            return refuse(
                "no_commit",
                format!(
                    "the group has no offset, and the center holds rows up to offset {held} of epoch {}",
                    latest.epoch
                ),
            );
        }
        (None, None) => Begin { offset: log.start, mark: Mark { pending_through: None, epoch: 0 } },
        (Some(Commit { offset, mark: None }), _) => {
            return refuse("foreign_commit", format!("the group's offset {offset} does not bear the sink's mark"));
        }
        (Some(Commit { offset, mark: Some(mark) }), _) => Begin { offset, mark },
    };
    let Begin { offset, mark } = begin;
    if offset > log.end {
        return refuse("beyond_log_end", format!("the group's offset is {offset}, and the log ends at {}", log.end));
    }
    if offset < log.start {
        let what = mark.pending_through.map_or("the next record", |_| "a range that was begun");
        return refuse(
            "range_lost",
            format!("{what} stands at offset {offset}, and Kafka's log begins at {}", log.start),
        );
    }
    match marked_from {
        Some(from) if from > offset => refuse(
            "marks_incomplete",
            format!("this store knows the repeats from offset {from} on, and {offset} comes next"),
        ),
        _ => Ok(begin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Extent = Extent { start: 100, end: 1_000 };

    fn known(commit: Option<Commit>) -> Known {
        Known { commit, log: LOG, center: None, marked_from: Some(100) }
    }

    fn ours(offset: i64, pending_through: Option<i64>) -> Option<Commit> {
        Some(Commit { offset, mark: Some(Mark { pending_through, epoch: 2 }) })
    }

    fn reason(known: Known) -> &'static str {
        begin(known).unwrap_err().reason
    }

    #[test]
    fn it_goes_on_where_the_group_stands_in_the_same_epoch() {
        let mark = Mark { pending_through: Some(520), epoch: 2 };
        assert_eq!(begin(known(ours(500, Some(520)))), Ok(Begin { offset: 500, mark }));
        assert!(begin(known(ours(1_000, None))).is_ok(), "the end of the log is a place in it");
    }

    #[test]
    fn a_group_and_a_center_without_anything_begin_at_the_start_of_the_log() {
        let mark = Mark { pending_through: None, epoch: 0 };
        assert_eq!(begin(known(None)), Ok(Begin { offset: 100, mark }));
    }

    #[test]
    fn nothing_is_guessed() {
        let latest = Latest { epoch: 0, max_offset: 480, range_first: 400, range_last: 499 };
        assert_eq!(reason(Known { center: Some(latest), ..known(None) }), "no_commit");
        assert_eq!(reason(known(Some(Commit { offset: 500, mark: None }))), "foreign_commit");
        assert_eq!(reason(known(ours(1_001, None))), "beyond_log_end");
        assert_eq!(reason(known(ours(99, Some(120)))), "range_lost");
        assert_eq!(reason(known(ours(99, None))), "range_lost");
        assert_eq!(reason(Known { marked_from: Some(501), ..known(ours(500, None)) }), "marks_incomplete");
    }
}
