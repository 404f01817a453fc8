//! Whole tables of the center, read in ranges of their keys and in the order of a node's keys: what a node is built from,
//! and what it can be compared with.
//!
//! Rows come as RowBinary of fixed width, so they are cut, not parsed. Ids are numbers here, whatever their kind.

mod rows;
mod shards;
mod which;

use std::time::Duration;

use clickhouse::query::Query;
use edgefeed_storage::AFFINITY_DAYS;
use edgefeed_storage::model::{DAY_MS, Day, HOUR_MS, IdKind, TimestampMs, day_of, hour_of};
use edgefeed_storage::retention::{POST_HOURS_KEPT, VIEWED_KEPT_MS};

pub(crate) use self::rows::Fields;
pub use self::rows::Rows;
pub use self::shards::{Shard, Shards};
pub use self::which::Walk;
use super::client::Center;
use super::error::Result;
use super::history::Cut;

/// Where a walk ends.
#[derive(Clone, Debug)]
pub struct Bounds<'a> {
    /// Which kind of ids the tables have.
    pub ids: IdKind,
    /// `node.cluster` of the log that is cut.
    pub cluster: &'a str,
    /// Kafka's name of the topic `events`.
    pub topic: &'a str,
    /// Where it is cut.
    pub cut: &'a Cut,
    /// Now, as of the whole walk.
    pub now_ms: TimestampMs,
    /// Deleted rows older than this are left out.
    pub deleted_since: TimestampMs,
    /// By partition of `events`, from when on its ids are remembered.
    pub remembered_since: TimestampMs,
}

/// A phone's clock may be ahead of the record's time by so much.
const AHEAD_MS: i64 = 5 * 60_000;

impl Center {
    /// Reads one part of a walk.
    ///
    /// # Errors
    /// None but [`Error::Config`]: nothing is heard yet.
    pub fn walk(&self, walk: Walk, bounds: &Bounds<'_>, shard: Shard, limit: Duration) -> Result<Rows> {
        let query = self.bounded(&render(walk.sql(), bounds.ids), limit);
        Rows::of(bind(query, walk, bounds, shard), walk.width(bounds.ids), limit)
    }

    /// A query that the server gives up when nobody waits for it any more.
    fn bounded(&self, sql: &str, limit: Duration) -> Query {
        self.query(sql)
            .with_setting("max_execution_time", limit.as_secs().max(1).to_string())
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
            .with_setting("optimize_aggregation_in_order", "1")
    }

    /// The latest record time that the center holds of each partition of `events`, below the cut.
    ///
    /// # Errors
    /// When the server could not be asked.
    pub async fn record_times(
        &self,
        cluster: &str,
        topic: &str,
        cut: &Cut,
        limit: Duration,
    ) -> Result<Vec<(u32, TimestampMs)>> {
        let sql = "SELECT _partition, toUnixTimestamp64Milli(max(_ts)) FROM events WHERE _cluster = ? AND _topic = ? \
                   AND _offset < transform(_partition, ?, ?, toUInt64(0)) GROUP BY _partition";
        let query = self.bounded(sql, limit).bind(cluster).bind(topic).bind(cut.partitions()).bind(cut.offsets());
        self.fetch::<(u32, i64)>("asking for record times", query, limit).await
    }
}

/// Fills in how ids are read as numbers, in the order of a node's keys: UUIDs have an order of their own otherwise.
fn render(sql: &str, ids: IdKind) -> String {
    match ids {
        IdKind::Uuid => sql.replace("{n}", "toUInt128").replace("{b}", "toUInt128"),
        IdKind::U64 => sql.replace("{n}", "").replace("{b}", "toUInt64"),
    }
}

fn start(day: Day) -> i64 {
    i64::from(day) * DAY_MS
}

fn bind(query: Query, walk: Walk, bounds: &Bounds<'_>, shard: Shard) -> Query {
    let cut = bounds.cut;
    // As text: whole numbers of 128 bits have no other form that stays exact.
    let range = |query: Query| query.bind(shard.from.0.to_string()).bind(shard.to.0.to_string());
    let below = |query: Query| query.bind(bounds.cluster).bind(bounds.topic).bind(cut.partitions()).bind(cut.offsets());
    let (own_from, below_until) = (cut.own_from(), start(cut.below_until()) + DAY_MS);
    match walk {
        Walk::Posts | Walk::Follows | Walk::Comments | Walk::Likes | Walk::Blocks => {
            range(query).bind(bounds.deleted_since)
        }
        Walk::Hides => below(range(query)),
        Walk::Viewed => {
            let from = bounds.now_ms - VIEWED_KEPT_MS;
            below(range(query).bind(from).bind(bounds.now_ms + AHEAD_MS).bind(from - AHEAD_MS))
        }
        Walk::EventIds => query
            .bind(u32::try_from(shard.from.0).unwrap_or(u32::MAX))
            .bind(bounds.cluster)
            .bind(bounds.topic)
            .bind(cut.offset_of(shard.from))
            .bind(bounds.remembered_since),
        Walk::PostHours => {
            let first_hour = hour_of(bounds.now_ms).saturating_sub(POST_HOURS_KEPT);
            let first_ms = i64::from(first_hour) * HOUR_MS;
            let arrived_from = day_of(first_ms - AHEAD_MS);
            let query = range(query).bind(u64::from(first_hour) * 3_600).bind(arrived_from).bind(own_from);
            let query = range(query).bind(first_ms).bind(start(own_from.max(arrived_from))).bind(below_until);
            below(query)
        }
        Walk::Histories => {
            let today = day_of(bounds.now_ms);
            let (first, last) = (today.saturating_sub(AFFINITY_DAYS - 1), today.saturating_add(1));
            let arrived_from = first.saturating_sub(1);
            let query = range(query).bind(first).bind(last).bind(arrived_from).bind(own_from);
            let query = range(query).bind(start(first)).bind(start(last) + DAY_MS);
            below(query.bind(start(own_from.max(arrived_from))).bind(below_until))
        }
    }
}

#[cfg(test)]
mod tests {
    use edgefeed_storage::model::Id;

    use super::*;

    #[test]
    fn every_query_has_its_places_filled() {
        let begins = [(3, edgefeed_storage::Begin { offset: 9, time: Some(1_795_376_817_860) })].into();
        let cut = Cut::of(&begins, 1_795_376_817_860).unwrap();
        let config = crate::center::Config { url: "http://127.0.0.1:1".to_owned(), ..Default::default() };
        let center = Center::new(&config).unwrap();
        for (walk, ids) in Walk::ALL.into_iter().flat_map(|walk| [(walk, IdKind::Uuid), (walk, IdKind::U64)]) {
            let bounds = Bounds {
                ids,
                cluster: "c",
                topic: "t",
                cut: &cut,
                now_ms: 1_795_376_817_860,
                deleted_since: 0,
                remembered_since: 0,
            };
            let sql = render(walk.sql(), ids);
            assert!(!sql.contains(['{', '}']), "{sql}");
            let query = bind(center.query(&sql), walk, &bounds, Shard { from: Id(3), to: Id(4) });
            let shown = query.sql_display().to_string();
            assert!(!shown.contains('?'), "{}: {shown}", walk.name());
        }
    }
}
