//! What the center's events say a node has counted: of its own part of the log, each event once.

use std::time::Duration;

use edgefeed_storage::model::{Day, Hour};
use xxhash_rust::xxh64::xxh64;

use super::Center;
use super::state::{BUCKETS, Bucket};
use crate::center::error::Result;
use crate::center::history::Cut;

/// What nodes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Counted {
    /// By reader, author, day of arrival and day: affinity.
    Pairs,
    /// By post and hour: engagement and trending.
    Hours,
}

/// One count: its key as text (ids, then days or the hour), and its sums.
#[derive(Clone, Debug, PartialEq, Eq, clickhouse::Row, serde::Deserialize)]
pub(crate) struct Count {
    pub(crate) key: Vec<String>,
    pub(crate) sums: Vec<u64>,
}

impl Count {
    /// The bucket it belongs to, by its first id.
    pub(crate) fn bucket(&self) -> u32 {
        let first = self.key.first().map(String::as_bytes).unwrap_or_default();
        u32::try_from(xxh64(first, 0) % u64::from(BUCKETS)).unwrap_or(0)
    }

    /// What it says, as one number.
    pub(crate) fn mark(&self) -> u64 {
        let sums: Vec<String> = self.sums.iter().map(u64::to_string).collect();
        xxh64(format!("{}#{}", self.key.join("|"), sums.join("|")).as_bytes(), 0)
    }
}

/// Where a node's own counting begins.
#[derive(Clone, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) cut: &'a Cut,
    /// Days of events before this one are left out.
    pub(crate) first_day: Day,
    /// Hours of events before this one are left out.
    pub(crate) first_hour: Hour,
}

const SUMS: &str = "countIf(action = 'view'), countIf(action = 'impression'), countIf(action = 'like'), \
                    countIf(action = 'comment'), countIf(action = 'share'), sum(toUInt64(events.dwell_ms))";
const OWN: &str = "_cluster = ? AND _topic = ? \
                   AND _offset >= transform(_partition, ?, ?, toUInt64(18446744073709551615)) \
                   AND (action != 'hide' OR events.dwell_ms > 0)";
/// What is being done, for errors.
const WHAT: &str = "comparing counts with the node's";

impl Counted {
    fn sql(self) -> String {
        match self {
            Self::Pairs => format!(
                "SELECT [toString(user_id), toString(assumeNotNull(events.author_id)), \
                 toString(toUInt16(toDate(_ts, 'UTC'))), toString(toUInt16(toDate(event_time, 'UTC')))] AS key, \
                 [{SUMS}, toUInt64(toUnixTimestamp64Milli(max(event_time)))] AS sums FROM events FINAL \
                 WHERE {OWN} AND events.author_id IS NOT NULL AND toDate(event_time, 'UTC') >= toDate(?) GROUP BY key"
            ),
            Self::Hours => format!(
                "SELECT [toString(post_id), toString(intDiv(toUnixTimestamp64Milli(event_time), 3600000))] AS key, \
                 [{SUMS}] AS sums FROM events FINAL \
                 WHERE {OWN} AND intDiv(toUnixTimestamp64Milli(event_time), 3600000) >= ? GROUP BY key"
            ),
        }
    }
}

impl Center {
    /// Every bucket of a node's counts as the events have them.
    pub(crate) async fn count_buckets(
        &self,
        counted: Counted,
        own: &Own<'_>,
        limit: Duration,
    ) -> Result<Vec<(u32, Bucket)>> {
        let sql = format!(
            "SELECT toUInt32(xxHash64(key[1]) % {BUCKETS}) AS bucket, count(), \
             groupBitXor(xxHash64(concat(arrayStringConcat(key, '|'), '#', \
             arrayStringConcat(arrayMap(sum -> toString(sum), sums), '|')))) FROM ({}) GROUP BY bucket",
            counted.sql()
        );
        let rows: Vec<(u32, u64, u64)> = self.fetch(WHAT, self.of_own(&sql, counted, own, limit), limit).await?;
        Ok(rows.into_iter().map(|(bucket, rows, mark)| (bucket, Bucket { rows, mark })).collect())
    }

    /// The counts of some buckets.
    pub(crate) async fn counts_of(
        &self,
        counted: Counted,
        own: &Own<'_>,
        buckets: &[u32],
        limit: Duration,
    ) -> Result<Vec<Count>> {
        let sql =
            format!("SELECT key, sums FROM ({}) WHERE toUInt32(xxHash64(key[1]) % {BUCKETS}) IN ?", counted.sql());
        self.fetch(WHAT, self.of_own(&sql, counted, own, limit).bind(buckets), limit).await
    }

    fn of_own(&self, sql: &str, counted: Counted, own: &Own<'_>, limit: Duration) -> clickhouse::query::Query {
        let query = self.audited(sql, limit).bind(own.cluster).bind(own.topic);
        let query = query.bind(own.cut.partitions()).bind(own.cut.offsets());
        match counted {
            Counted::Pairs => query.bind(own.first_day),
            Counted::Hours => query.bind(own.first_hour),
        }
    }
}
