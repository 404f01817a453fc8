//! What the center knows of readers from below a node's own part of the log: the base their own history is added to.
//!
//! Both are cut at the same places of the log, so they have no event in common and miss none (see [`Cut`]).

use std::collections::BTreeMap;
use std::time::Duration;

use clickhouse::Row;
use clickhouse::query::RowCursor;
use edgefeed_storage::model::{Counters, DAY_MS, Day, HOUR_MS, Id, IdKind, TimestampMs, day_of};
use edgefeed_storage::{AFFINITY_DAYS, Begin, Partial};
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::Instant;

use super::client::{Center, within};
use super::error::{Error, Result};

const SQL: &str = include_str!("../../../sql/clickhouse/query/001_history.sql");
const WHAT: &str = "asking for histories";

/// Rows of one reader at most: 90 days with 222 authors each. Of more, which no person reads, the ones with the most
/// views, likes, comments and shares are taken.
pub const ROWS_MAX: u32 = 20_000;

/// How far the clocks of brokers, which stamp the records, may be apart.
const CLOCKS_APART_MS: i64 = HOUR_MS;

/// One row of a reader's history: author, day of the events, sums.
pub type HistoryRow = (Id, Day, Partial);

/// Where a node's own history begins, as the center's tables can be cut.
///
/// A record lies below the cut when it came before [`Cut::own_from`], by Kafka's time, or stands below its partition's
/// first offset. Within a partition times do not fall, so everything from the first offset on came on that day or later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first day on which a record may be the node's own.
    own_from: Day,
    /// The last day on which a record may lie below the cut.
    below_until: Day,
    partitions: Vec<u32>,
    offsets: Vec<u64>,
}

impl Cut {
    /// The cut of a node that began there; `None` for one that has not begun.
    pub fn of(begins: &BTreeMap<u32, Begin>, now_ms: TimestampMs) -> Option<Self> {
        // What is empty will be written from now on.
        let times = || begins.values().map(|begin| begin.time.unwrap_or(now_ms));
        Some(Self {
            own_from: day_of(times().min()? - CLOCKS_APART_MS),
            below_until: day_of(times().max()? + CLOCKS_APART_MS),
            partitions: begins.keys().copied().collect(),
            offsets: begins.values().map(|begin| u64::try_from(begin.offset).unwrap_or(0)).collect(),
        })
    }

    /// The cut before a whole arrival day: nothing of that day or later lies below it.
    pub fn before(own_from: Day) -> Self {
        let nowhere = (vec![u32::MAX], vec![0]);
        Self { own_from, below_until: own_from.saturating_sub(1), partitions: nowhere.0, offsets: nowhere.1 }
    }

    pub(super) fn own_from(&self) -> Day {
        self.own_from
    }

    pub(super) fn below_until(&self) -> Day {
        self.below_until
    }

    pub(super) fn partitions(&self) -> &[u32] {
        &self.partitions
    }

    pub(super) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// The first offset that is not below the cut, of a partition written as an id.
    pub(super) fn offset_of(&self, partition: Id) -> u64 {
        let place = self.partitions.iter().position(|known| u128::from(*known) == partition.0);
        place.and_then(|place| self.offsets.get(place)).copied().unwrap_or(0)
    }
}

/// Whose history is asked for, and where it is cut.
#[derive(Clone, Debug)]
pub struct HistoryQuery<'a> {
    /// The readers; their number bounds the answer.
    pub users: &'a [Id],
    /// Which kind of ids the tables have.
    pub ids: IdKind,
    /// `node.cluster` of the log that is cut.
    pub cluster: &'a str,
    /// Kafka's name of the topic `events`.
    pub topic: &'a str,
    /// Where it is cut.
    pub cut: &'a Cut,
    /// Now: only the days that count are taken.
    pub now_ms: TimestampMs,
}

/// Histories as they come, reader by reader.
pub struct Histories {
    lines: Lines,
    /// The first row of the next reader.
    ahead: Option<(Id, HistoryRow)>,
    deadline: Instant,
    limit: Duration,
}

impl std::fmt::Debug for Histories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histories").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Center {
    /// Asks for the histories of some readers. All of the answer must come within `clickhouse.query_timeout_ms`.
    ///
    /// # Errors
    /// None but [`Error::Config`]: nothing is heard yet.
    pub fn histories(&self, asked: &HistoryQuery<'_>) -> Result<Histories> {
        let limit = self.query_timeout();
        let today = day_of(asked.now_ms);
        // A phone whose clock is ahead may tell of tomorrow, up to five minutes before it begins.
        let (first, last) = (today.saturating_sub(AFFINITY_DAYS - 1), today.saturating_add(1));
        let (arrived_from, own_from) = (first.saturating_sub(1), asked.cut.own_from);
        let start = |day: Day| i64::from(day) * DAY_MS;
        let users = Users(asked.users, asked.ids);
        let query = self
            .query(SQL)
            .bind(&users)
            .bind(first)
            .bind(last)
            .bind(arrived_from)
            .bind(own_from)
            .bind(&users)
            .bind(start(first))
            .bind(start(last) + DAY_MS)
            .bind(start(own_from.max(arrived_from)))
            .bind(start(asked.cut.below_until) + DAY_MS)
            .bind(asked.cluster)
            .bind(asked.topic)
            .bind(&asked.cut.partitions)
            .bind(&asked.cut.offsets)
            .bind(ROWS_MAX)
            // When nobody waits for the answer any more, the server need not go on either.
            .with_setting("max_execution_time", limit.as_secs().max(1).to_string())
            .with_setting("cancel_http_readonly_queries_on_client_close", "1");
        let lines = match asked.ids {
            IdKind::Uuid => query.fetch().map(Lines::Uuid),
            IdKind::U64 => query.fetch().map(Lines::U64),
        };
        Ok(Histories { lines: lines.map_err(Error::of(WHAT))?, ahead: None, deadline: Instant::now() + limit, limit })
    }
}

impl Histories {
    /// The next reader who has a history, in no promised order; the rows are all there are, each author and day once.
    ///
    /// # Errors
    /// Why the answer did not come to its end. Readers given before are complete all the same.
    pub async fn next(&mut self) -> Result<Option<(Id, Vec<HistoryRow>)>> {
        let Some((user, row)) = self.take().await? else { return Ok(None) };
        let mut rows = vec![row];
        loop {
            match self.take().await? {
                Some((other, row)) if other == user => rows.push(row),
                ahead => {
                    self.ahead = ahead;
                    return Ok(Some((user, rows)));
                }
            }
        }
    }

    /// The next row, with its reader.
    async fn take(&mut self) -> Result<Option<(Id, HistoryRow)>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        within(WHAT, left, self.lines.next()).await.map_err(|error| match error {
            Error::TimedOut { what, .. } => Error::TimedOut { what, after_ms: self.limit.as_millis() },
            other => other,
        })
    }
}

/// Readers, as a query names them: texts or numbers.
pub(super) struct Users<'a>(pub(super) &'a [Id], pub(super) IdKind);

impl Serialize for Users<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.1 {
            IdKind::Uuid => serializer.collect_seq(self.0.iter().map(|user| self.1.format(*user))),
            IdKind::U64 => serializer.collect_seq(self.0.iter().map(|user| u64::try_from(user.0).unwrap_or(u64::MAX))),
        }
    }
}

/// The rows of an answer; ids are of one kind or the other.
enum Lines {
    Uuid(RowCursor<Line<(u64, u64)>>),
    U64(RowCursor<Line<u64>>),
}

impl Lines {
    async fn next(&mut self) -> clickhouse::error::Result<Option<(Id, HistoryRow)>> {
        Ok(match self {
            Self::Uuid(lines) => lines.next().await?.map(|line| line.read(uuid)),
            Self::U64(lines) => lines.next().await?.map(|line| line.read(|number| Id(u128::from(number)))),
        })
    }
}

/// A UUID as ClickHouse sends it: its upper half, then its lower.
fn uuid((upper, lower): (u64, u64)) -> Id {
    Id(u128::from(upper) << 64 | u128::from(lower))
}

#[derive(Row, Deserialize)]
struct Line<I> {
    user_id: I,
    author_id: I,
    day: u16,
    views: u64,
    impressions: u64,
    likes: u64,
    comments: u64,
    shares: u64,
    dwell_ms: u64,
    last_ts: i64,
}

impl<I> Line<I> {
    fn read(self, id: impl Fn(I) -> Id) -> (Id, HistoryRow) {
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let counters = Counters {
            views: count(self.views),
            impressions: count(self.impressions),
            likes: count(self.likes),
            comments: count(self.comments),
            shares: count(self.shares),
            dwell_ms: self.dwell_ms,
        };
        (id(self.user_id), (id(self.author_id), self.day, Partial { counters, last_time: self.last_ts }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_795_376_817_860;

    fn cut(begins: &[(u32, i64, Option<TimestampMs>)]) -> Option<Cut> {
        let begins =
            begins.iter().map(|(partition, offset, time)| (*partition, Begin { offset: *offset, time: *time }));
        Cut::of(&begins.collect(), NOW)
    }

    #[test]
    fn a_node_that_has_not_begun_has_no_cut() {
        assert_eq!(cut(&[]), None);
    }

    #[test]
    fn the_cut_lies_at_the_first_day_of_all_partitions_and_at_each_ones_offset() {
        let (today, noon) = (day_of(NOW), NOW - NOW % DAY_MS + 12 * HOUR_MS);
        let cut = cut(&[(0, 5, Some(noon)), (2, 0, Some(noon - 3 * DAY_MS)), (7, 90, None)]).unwrap();
        assert_eq!((cut.own_from, cut.below_until), (today - 3, today));
        assert_eq!((cut.partitions, cut.offsets), (vec![0, 2, 7], vec![5, 0, 90]));
    }

    #[test]
    fn a_beginning_close_to_midnight_belongs_to_both_days() {
        let midnight = NOW - NOW % DAY_MS;
        let days = |time| cut(&[(0, 5, Some(time))]).map(|cut| (cut.own_from, cut.below_until));
        let today = day_of(NOW);
        assert_eq!(days(midnight), Some((today - 1, today)), "another broker's clock may still say yesterday");
        assert_eq!(days(midnight - 1), Some((today - 1, today)));
        assert_eq!(days(midnight + CLOCKS_APART_MS), Some((today, today)));
    }

    #[test]
    fn the_query_has_as_many_places_as_it_is_given_values() {
        assert_eq!(SQL.matches('?').count(), 15);
    }
}
