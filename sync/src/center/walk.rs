//! Whole tables of the center, read in ranges of their keys and in the order of a node's keys: what a node is built from,
//! and what it can be compared with.
//!
//! Rows come as RowBinary of fixed width, so they are cut, not parsed. Ids are numbers here, whatever their kind.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickhouse::query::{BytesCursor, Query};
use edgefeed_storage::AFFINITY_DAYS;
use edgefeed_storage::model::{DAY_MS, Day, HOUR_MS, Id, IdKind, TimestampMs, day_of, hour_of};
use edgefeed_storage::retention::{POST_HOURS_KEPT, VIEWED_KEPT_MS};
use serde::{Deserialize, Serialize};

use super::client::{Center, within};
use super::error::{Error, Result};
use super::history::Cut;

/// What can be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walk {
    /// Rows of `posts`, deleted ones included.
    Posts,
    /// Rows of `follows`.
    Follows,
    /// Rows of `comments`.
    Comments,
    /// Rows of `likes`.
    Likes,
    /// Rows of `blocks`.
    Blocks,
    /// Posts that readers hid.
    Hides,
    /// Posts that readers viewed of late.
    Viewed,
    /// Event ids that are still remembered.
    EventIds,
    /// What happened to posts, by hour.
    PostHours,
    /// What readers did with authors' posts, by day.
    Histories,
}

impl Walk {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Posts,
        Self::Follows,
        Self::Comments,
        Self::Likes,
        Self::Blocks,
        Self::Hides,
        Self::Viewed,
        Self::EventIds,
        Self::PostHours,
        Self::Histories,
    ];

    /// The name for people, labels and notes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Follows => "follows",
            Self::Comments => "comments",
            Self::Likes => "likes",
            Self::Blocks => "blocks",
            Self::Hides => "hides",
            Self::Viewed => "viewed",
            Self::EventIds => "event_ids",
            Self::PostHours => "post_hours",
            Self::Histories => "histories",
        }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::Posts => include_str!("../../../sql/clickhouse/query/002_posts.sql"),
            Self::Follows => include_str!("../../../sql/clickhouse/query/003_follows.sql"),
            Self::Comments => include_str!("../../../sql/clickhouse/query/004_comments.sql"),
            Self::Likes => include_str!("../../../sql/clickhouse/query/005_likes.sql"),
            Self::Blocks => include_str!("../../../sql/clickhouse/query/006_blocks.sql"),
            Self::Hides => include_str!("../../../sql/clickhouse/query/007_hides.sql"),
            Self::Viewed => include_str!("../../../sql/clickhouse/query/008_viewed.sql"),
            Self::EventIds => include_str!("../../../sql/clickhouse/query/009_event_ids.sql"),
            Self::PostHours => include_str!("../../../sql/clickhouse/query/010_post_hours.sql"),
            Self::Histories => include_str!("../../../sql/clickhouse/query/011_histories.sql"),
        }
    }

    /// Bytes of a row.
    const fn width(self, ids: IdKind) -> usize {
        let id = ids.width();
        match self {
            Self::Posts => id + 8 + 1 + 8 + id + 8 + 1,
            Self::Follows | Self::Likes | Self::Blocks => 2 * id + 8 + 1 + 8,
            Self::Comments => id + 8 + 1 + 8 + 2 * id,
            Self::Hides | Self::Viewed => 2 * id + 8,
            Self::EventIds => 4 + 4 + 16 + 8,
            Self::PostHours => id + 4 + 6 * 8,
            Self::Histories => 2 * id + 2 + 7 * 8,
        }
    }

    /// Where the ids of a range lie, of which a sample tells how to divide them; `None`: by partition of `events`.
    const fn sampled(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Posts => Some(("posts_cdc", "id")),
            Self::Follows => Some(("follows_cdc", "follower_id")),
            Self::Comments => Some(("comments_cdc", "id")),
            Self::Likes => Some(("likes_cdc", "user_id")),
            Self::Blocks => Some(("blocks_cdc", "blocker_id")),
            Self::Hides => Some(("events WHERE action = 'hide'", "user_id")),
            Self::Viewed => Some(("events WHERE action = 'view'", "user_id")),
            Self::PostHours => Some(("post_metrics_1h", "post_id")),
            Self::Histories => Some(("user_author_90d", "user_id")),
            Self::EventIds => None,
        }
    }
}

/// A part of a walk: ids from one to another, both included; of event ids, a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The first id, or the partition.
    pub from: Id,
    /// The last id.
    pub to: Id,
}

/// How a walk is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// Rows there are, roughly.
    pub rows: u64,
    /// The parts, ascending; together they hold every id there can be.
    pub parts: Vec<Shard>,
}

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

/// Rows sampled at most.
const SAMPLE: u64 = 4_096;
/// Parts of a walk at most.
const SHARDS_MAX: u64 = 512;
/// A phone's clock may be ahead of the record's time by so much.
const AHEAD_MS: i64 = 5 * 60_000;

impl Center {
    /// Divides a walk into parts of about `rows_each` rows.
    ///
    /// # Errors
    /// When the server could not be asked.
    pub async fn shards(&self, walk: Walk, ids: IdKind, cut: &Cut, rows_each: u64, limit: Duration) -> Result<Shards> {
        let Some((from, column)) = walk.sampled() else {
            let part = |partition: &u32| Shard { from: Id((*partition).into()), to: Id((*partition).into()) };
            return Ok(Shards { rows: 0, parts: cut.partitions().iter().map(part).collect() });
        };
        // Names come from the fixed list above.
        let sql = format!(
            "SELECT toUInt128(arrayJoin(sample)) AS id, rows FROM (SELECT arraySort(groupArraySample({SAMPLE}, 1)({})) \
             AS sample, count() AS rows FROM {from})",
            number(ids, column)
        );
        let mut rows = Rows::of(self.bounded(&sql, limit), 24, limit)?;
        let (mut sample, mut count) = (Vec::new(), 0);
        while let Some(chunk) = rows.next().await? {
            for row in chunk.chunks_exact(24) {
                let mut fields = Fields(row);
                sample.push(Id(fields.u128()));
                count = fields.u64();
            }
        }
        Ok(Shards { rows: count, parts: divide(&sample, count / rows_each.max(1) + 1, ids) })
    }

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

fn number(ids: IdKind, column: &str) -> String {
    render(&format!("{{n}}({column})"), ids)
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

/// Cuts all ids there can be into parts that hold about as many rows each, by a sorted sample of rows.
fn divide(sample: &[Id], parts: u64, ids: IdKind) -> Vec<Shard> {
    let highest = Id(if ids == IdKind::Uuid { u128::MAX } else { u64::MAX.into() });
    let parts = usize::try_from(parts.clamp(1, SHARDS_MAX)).unwrap_or(1);
    let mut starts: Vec<Id> = (1..parts).filter_map(|part| sample.get(part * sample.len() / parts)).copied().collect();
    starts.dedup();
    starts.retain(|start| start.0 > 0);
    let mut shards = Vec::with_capacity(starts.len() + 1);
    let mut from = Id(0);
    for next in starts {
        shards.push(Shard { from, to: Id(next.0 - 1) });
        from = next;
    }
    shards.push(Shard { from, to: highest });
    shards
}

/// The rows of an answer, as they come.
pub struct Rows {
    cursor: BytesCursor,
    width: usize,
    /// The beginning of a row whose rest is yet to come.
    rest: BytesMut,
    limit: Duration,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("width", &self.width).finish_non_exhaustive()
    }
}

/// What is being done, for errors.
const WHAT: &str = "reading a table";

impl Rows {
    fn of(query: Query, width: usize, limit: Duration) -> Result<Self> {
        let cursor = query.fetch_bytes("RowBinary").map_err(Error::of(WHAT))?;
        Ok(Self { cursor, width, rest: BytesMut::new(), limit })
    }

    /// Bytes of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The next rows, whole ones; `None` behind the last. Waits no longer than the limit each time.
    ///
    /// # Errors
    /// Why the answer did not come to its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(mut chunk) = within(WHAT, self.limit, self.cursor.next()).await? else {
                return match self.rest.len() {
                    0 => Ok(None),
                    left => Err(Error::Unreadable { what: WHAT, detail: format!("it ends {left} bytes into a row") }),
                };
            };
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(&chunk);
                chunk = self.rest.split().freeze();
            }
            let whole = chunk.len() - chunk.len() % self.width;
            self.rest.extend_from_slice(&chunk[whole..]);
            if whole > 0 {
                return Ok(Some(chunk.slice(..whole)));
            }
        }
    }
}

/// The columns of a row, one after the other. Of a row that ends early, zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.take())
    }

    pub(crate) fn id(&mut self, ids: IdKind) -> Id {
        Id(match ids {
            IdKind::Uuid => self.u128(),
            IdKind::U64 => self.u64().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_every_id_once_and_follow_the_sample() {
        for ids in [IdKind::Uuid, IdKind::U64] {
            for (sample, parts) in
                [(vec![], 9), (vec![0, 0, 5], 3), ((0..4_000).collect::<Vec<u128>>(), 8), (vec![7; 90], 4)]
            {
                let sample: Vec<Id> = sample.into_iter().map(Id).collect();
                let shards = divide(&sample, parts, ids);
                assert_eq!(shards[0].from, Id(0));
                assert!(shards.windows(2).all(|pair| pair[0].to.0 + 1 == pair[1].from.0), "{shards:?}");
                let last = shards.last().unwrap().to.0;
                assert_eq!(last, if ids == IdKind::Uuid { u128::MAX } else { u64::MAX.into() });
            }
        }
        let sample: Vec<Id> = (0..4_000).map(Id).collect();
        assert_eq!(divide(&sample, 8, IdKind::U64)[1], Shard { from: Id(500), to: Id(999) });
    }

    #[test]
    fn every_query_has_its_places_filled() {
        let begins = [(3, edgefeed_storage::Begin { offset: 9, time: Some(1_795_376_817_860) })].into();
        let cut = Cut::of(&begins, 1_795_376_817_860).unwrap();
        let config = super::super::Config { url: "http://127.0.0.1:1".to_owned(), ..Default::default() };
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
