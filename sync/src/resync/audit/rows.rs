//! This node's rows of the application's tables held against the center's: bucket by bucket, and row by row where a bucket
//! differs. As far as Kafka's log reaches the center is right, for it was held against the log before; of older rows the side with
//! the newer version.

use std::collections::{BTreeMap, BTreeSet};

use edgefeed_storage::key::Family;
use edgefeed_storage::model::{IdKind, RowKey, Topic, Version};
use edgefeed_storage::{CommentRow, LinkRow, PostRow, Store};

use super::finding::{Disputed, Side, Verdict};
use super::{Audit, Ground, Result, blocking};
use crate::center::Table;
use crate::center::audit::{BUCKETS, Bucket, StateRow, bucket_of, mark_of};
use crate::center::row::sent_time;

/// Buckets compared row by row at a time.
const AT_A_TIME: usize = 64;
/// How often what differs is looked at, while records go on changing it.
const LOOKS: usize = 5;

impl Audit {
    /// Compares one table.
    pub(super) async fn rows(&self, ground: &Ground, table: Table, verdict: &mut Verdict) -> Result<()> {
        let Some(topic) = topic_of(table) else { return Ok(()) };
        verdict.ids = Some(self.ids());
        let (store, ids) = (std::sync::Arc::clone(&self.store), self.ids());
        let here = blocking(move || node_buckets(&store, ids, table)).await?;
        let there: BTreeMap<u32, Bucket> = self.center.buckets(table, self.limit).await?.into_iter().collect();
        verdict.compare("rows of the node", here.values().map(|bucket| bucket.rows).sum());
        let mut suspects: Vec<u32> = (0..BUCKETS).filter(|bucket| here.get(bucket) != there.get(bucket)).collect();
        let mut before: BTreeMap<RowKey, (Option<StateRow>, Option<StateRow>)> = BTreeMap::new();
        for look in 0..LOOKS {
            if suspects.is_empty() {
                return Ok(());
            }
            let passed = self.passed(ground, topic).await?;
            let differing = self.differing(table, &suspects).await?;
            if look > 0 {
                let (same, moving): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    differing.into_iter().partition(|(key, sides)| before.get(key) == Some(sides));
                self.judge(ground, table, same, passed, verdict).await?;
                before = moving;
            } else {
                before = differing;
            }
            let left: BTreeSet<u32> = before.keys().map(|key| bucket_of(ids, *key)).collect();
            suspects = left.into_iter().collect();
        }
        if !before.is_empty() {
            let name = table.name();
            verdict.unproved.push(format!("{name}: {} rows went on changing and could not be compared", before.len()));
        }
        Ok(())
    }

    /// Rows that the two sides have otherwise.
    async fn differing(
        &self,
        table: Table,
        buckets: &[u32],
    ) -> Result<BTreeMap<RowKey, (Option<StateRow>, Option<StateRow>)>> {
        let mut differing = BTreeMap::new();
        for buckets in buckets.chunks(AT_A_TIME) {
            let (store, ids, wanted) = (std::sync::Arc::clone(&self.store), self.ids(), buckets.to_vec());
            let here = blocking(move || node_rows(&store, ids, table, &wanted)).await?;
            let there = self.center.state_rows(table, ids, buckets, self.limit).await?;
            let mut both: BTreeMap<RowKey, (Option<StateRow>, Option<StateRow>)> = BTreeMap::new();
            for row in here {
                let side = both.entry(row.key).or_default();
                side.0 = Some(row);
            }
            for row in there {
                let side = both.entry(row.key).or_default();
                side.1 = Some(row);
            }
            both.retain(|_, sides| !matches!(sides, (Some(here), Some(there)) if here.agrees(there)));
            differing.extend(both);
        }
        Ok(differing)
    }

    /// Says whose rows are wrong.
    async fn judge(
        &self,
        ground: &Ground,
        table: Table,
        rows: BTreeMap<RowKey, (Option<StateRow>, Option<StateRow>)>,
        passed: bool,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let alone: Vec<RowKey> = rows.iter().filter(|(_, sides)| sides.1.is_none()).map(|(key, _)| *key).collect();
        let mut known = BTreeMap::new();
        for keys in alone.chunks(5_000) {
            known.extend(self.center.known_versions(table, self.ids(), keys, self.limit).await?);
        }
        let mut ahead = 0;
        for (key, (node, center)) in rows {
            let newest_here = self.newest(key)?;
            // Of a deleted row the center still knows the version.
            let newest_there =
                center.as_ref().map(|row| row.version & Version::MAX_VALUE).or_else(|| known.get(&key).copied());
            // Of what Kafka still has, the center was held against the log: a newer record would have been missed there.
            let from_log = center
                .as_ref()
                .map_or_else(|| ground.reaches(topic_of(table), None), |row| ground.reaches(topic_of(table), row.at));
            let wrong = match (newest_here.map(|version| version & Version::MAX_VALUE), newest_there) {
                _ if from_log && passed => Side::Node,
                (Some(here), Some(there)) if here > there => Side::Center,
                (Some(_), None) => Side::Center,
                _ => Side::Node,
            };
            if wrong == Side::Center && !passed {
                ahead += 1;
                continue;
            }
            if verdict.disputed.len() < self.most {
                verdict.disputed.push(Disputed { table, key, node, center, wrong });
            }
        }
        if ahead > 0 {
            let name = table.name();
            verdict.unproved.push(format!("{name}: {ahead} rows are newer here; the sink has not passed them"));
        }
        Ok(())
    }

    /// The version this node holds of a row, a deleted one's too.
    fn newest(&self, key: RowKey) -> Result<Option<u64>> {
        Ok(match key {
            RowKey::Post(id) => self.store.post_row(id)?.map(|row| row.version),
            RowKey::Comment(id) => self.store.comment_row(id)?.map(|row| row.version),
            key => self.store.link_row(key)?.map(|row| row.version),
        })
    }
}

/// The topic whose rows a table holds.
pub(super) const fn topic_of(table: Table) -> Option<Topic> {
    match table {
        Table::Events => None,
        Table::Posts => Some(Topic::Posts),
        Table::Follows => Some(Topic::Follows),
        Table::Comments => Some(Topic::Comments),
        Table::Likes => Some(Topic::Likes),
        Table::Blocks => Some(Topic::Blocks),
    }
}

fn node_buckets(store: &Store, ids: IdKind, table: Table) -> Result<BTreeMap<u32, Bucket>> {
    let mut buckets: BTreeMap<u32, Bucket> = BTreeMap::new();
    each_live(store, ids, table, |row| buckets.entry(bucket_of(ids, row.key)).or_default().add(mark_of(ids, &row)))?;
    Ok(buckets)
}

fn node_rows(store: &Store, ids: IdKind, table: Table, buckets: &[u32]) -> Result<Vec<StateRow>> {
    let mut rows = Vec::new();
    each_live(store, ids, table, |row| {
        if buckets.contains(&bucket_of(ids, row.key)) {
            rows.push(row);
        }
    })?;
    Ok(rows)
}

fn each_live(store: &Store, ids: IdKind, table: Table, mut visit: impl FnMut(StateRow)) -> Result<()> {
    match table {
        Table::Events => {}
        Table::Posts => store.each_post(|id, row: PostRow| {
            if let (None, Some((author, created_at))) = (row.removed, row.author) {
                let fields =
                    vec![ids.format(author), sent_time(created_at).to_string(), u8::from(row.hidden).to_string()];
                visit(StateRow { key: RowKey::Post(id), version: row.version, fields, at: None });
            }
        })?,
        Table::Comments => store.each_comment(|id, row: CommentRow| {
            if let Some(post) = row.live() {
                visit(StateRow {
                    key: RowKey::Comment(id),
                    version: row.version,
                    fields: vec![ids.format(post)],
                    at: None,
                });
            }
        })?,
        Table::Follows => each_link(store, Family::Follows, RowKey::Follow, visit)?,
        Table::Likes => each_link(store, Family::Likes, RowKey::Like, visit)?,
        Table::Blocks => each_link(store, Family::Blocks, RowKey::Block, visit)?,
    }
    Ok(())
}

fn each_link(
    store: &Store,
    family: Family,
    key: fn(edgefeed_storage::model::Id, edgefeed_storage::model::Id) -> RowKey,
    mut visit: impl FnMut(StateRow),
) -> Result<()> {
    Ok(store.each_link(family, |first, second, row: LinkRow| {
        if row.removed.is_none() {
            visit(StateRow { key: key(first, second), version: row.version, fields: Vec::new(), at: None });
        }
    })?)
}
