//! Other numbers, tried on the requests of late before anybody is exposed to them.

use std::collections::BTreeMap;

use edgefeed_storage::StoreError;
use edgefeed_storage::model::{Id, TimestampMs};

use super::report::{PLACES, Report, Shown, Tally};
use super::{Numbers, Recent, Sets};

/// Requests replayed at most, the newest first.
pub const REPLAY_MAX: usize = 10_000;

/// Ranks each request at one `now_ms`, by the sets in force and by the others, and compares. `first` gives a reader's
/// first places by some numbers.
///
/// # Errors
/// Those of `first`.
pub fn replay(
    requests: &[Recent],
    current: &Sets,
    new: &Sets,
    now_ms: TimestampMs,
    mut first: impl FnMut(Id, &Numbers) -> Result<Vec<Shown>, StoreError>,
) -> Result<Report, StoreError> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let (mut ranked, mut empty) = (0, 0);
    for request in requests {
        let (old, other) =
            (current.numbers(request.viewer, request.preset), new.numbers(request.viewer, request.preset));
        let (shown, would_be) = (first(request.viewer, old)?, first(request.viewer, other)?);
        if shown.is_empty() && would_be.is_empty() {
            empty += 1;
            continue;
        }
        ranked += 1;
        // By what the reader would get: whom a new experiment draws is seen by itself.
        let tally = tallies.entry(other.set).or_default();
        tally.add((&old.version, &shown), (&other.version, &would_be), now_ms);
    }
    let sets = tallies.into_iter().map(|(set, tally)| (set.to_owned(), tally.report())).collect();
    Ok(Report { ranked_at: now_ms, places: PLACES, requests: ranked, empty, sets })
}
