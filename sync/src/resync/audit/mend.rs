//! Puts right what a comparison found, and only that, from the side that is right: rows of the log first, since everything
//! else is compared with them; then the views, and the rows of node and center against each other. Looks again after each
//! round until nothing differs.

use std::collections::BTreeMap;

use edgefeed_storage::model::{Counters, Id, IdKind, RowKey, TimestampMs};
use edgefeed_storage::{CommentRow, CountMend, LinkRow, Mend, Partial, PostRow};
use serde::Serialize;

use super::counters::Counter;
use super::finding::{Disputed, Misplaced, Side, Verdict};
use super::{Audit, Result, blocking};
use crate::center::Table;
use crate::center::View;
use crate::center::audit::{Counted, LogPlace, StateRow, Sum};
use crate::center::row::{self, CdcRow, Origin};

/// Rounds at most: the log's rows, the views, the rows of both sides, and once more for what came in between.
const ROUNDS: usize = 6;
/// Rows of one order to the center.
const BATCH: usize = 5_000;

/// What a repair did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Mended {
    /// Rows put right, by table and side.
    pub rows: BTreeMap<String, u64>,
    /// What was found and could not be put right, in words.
    pub left: Vec<String>,
    /// Rounds it took.
    pub rounds: usize,
}

impl Mended {
    fn add(&mut self, what: &str, side: Side, rows: usize) {
        if rows > 0 {
            let side = if side == Side::Center { "center" } else { "node" };
            *self.rows.entry(format!("{side}: {what}")).or_default() += rows as u64;
        }
    }
}

impl Audit {
    /// Compares and puts right, until nothing differs or nothing more can be done. Gives the last look as well.
    ///
    /// # Errors
    /// When one of the sides could not be read or written. What was put right is; order it again for the rest.
    pub async fn repair(&self, now_ms: TimestampMs) -> Result<(Mended, Verdict)> {
        let mut mended = Mended::default();
        loop {
            let verdict = self.verify(now_ms).await?;
            mended.rounds += 1;
            if verdict.is_clean() || mended.rounds > ROUNDS {
                return Ok((mended, verdict));
            }
            let before: u64 = mended.rows.values().sum();
            if verdict.misplaced.is_empty() {
                self.mend_sums(&verdict.sums, &mut mended).await?;
                self.mend_rows(&verdict.disputed, now_ms, &mut mended).await?;
                self.mend_counters(&verdict.counters, now_ms, &mut mended).await?;
            } else {
                self.mend_positions(&verdict.misplaced, &mut mended).await?;
            }
            if mended.rows.values().sum::<u64>() == before {
                mended
                    .left
                    .extend(verdict.findings().iter().take(100).map(|found| format!("{} {}", found.table, found.key)));
                return Ok((mended, verdict));
            }
        }
    }

    async fn mend_positions(&self, wrongs: &[Misplaced], mended: &mut Mended) -> Result<()> {
        let mut groups: BTreeMap<(Table, u32, String, u32), Vec<&Misplaced>> = BTreeMap::new();
        for wrong in wrongs {
            let key = (wrong.table, wrong.epoch, wrong.topic.clone(), wrong.at.partition);
            groups.entry(key).or_default().push(wrong);
        }
        for ((table, epoch, topic, partition), wrongs) in groups {
            let place = LogPlace { cluster: self.cluster.clone(), epoch, topic, partition };
            for batch in wrongs.chunks(BATCH) {
                let known = |wrong: &&&Misplaced| wrong.row.is_some() || wrong.name.is_none();
                let batch: Vec<&&Misplaced> = batch.iter().filter(known).collect();
                let offsets: Vec<i64> = batch.iter().map(|wrong| wrong.offset).collect();
                // Lost ones too: what a broken repair left half done is taken away first.
                self.center.remove_at(table, &place, &offsets, self.limit).await?;
                let rows: Vec<u8> = batch.iter().filter_map(|wrong| wrong.row.as_deref()).flatten().copied().collect();
                self.center.put_rows(table, rows, self.limit).await?;
                mended.add(table.name(), Side::Center, batch.len());
            }
        }
        Ok(())
    }

    async fn mend_sums(&self, sums: &[Sum], mended: &mut Mended) -> Result<()> {
        for view in View::ALL {
            let of_view: Vec<Sum> = sums.iter().filter(|sum| sum.key.view == view).cloned().collect();
            for batch in of_view.chunks(BATCH) {
                self.center.put_sums(view, self.ids(), batch, self.limit).await?;
                mended.add(view.table(), Side::Center, batch.len());
            }
        }
        Ok(())
    }

    async fn mend_rows(&self, rows: &[Disputed], now_ms: TimestampMs, mended: &mut Mended) -> Result<()> {
        let mut by_table: BTreeMap<Table, Vec<&Disputed>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.wrong == Side::Center) {
            by_table.entry(row.table).or_default().push(row);
        }
        for (table, rows) in by_table {
            for batch in rows.chunks(BATCH) {
                let bytes = self.center_rows(batch, now_ms)?;
                self.center.put_rows(table, bytes, self.limit).await?;
                mended.add(table.name(), Side::Center, batch.len());
            }
        }
        let here: Vec<&Disputed> = rows.iter().filter(|row| row.wrong == Side::Node).collect();
        for batch in here.chunks(BATCH) {
            let mut orders = Vec::with_capacity(batch.len());
            for row in batch {
                orders.extend(self.node_row(row, now_ms)?);
            }
            let store = std::sync::Arc::clone(&self.store);
            let done = blocking(move || Ok(store.mend(&orders, now_ms)?)).await?;
            mended.add("rows", Side::Node, done);
        }
        Ok(())
    }

    async fn mend_counters(&self, wrongs: &[Counter], now_ms: TimestampMs, mended: &mut Mended) -> Result<()> {
        for batch in wrongs.chunks(BATCH) {
            let orders: Vec<CountMend> = batch.iter().filter_map(|wrong| self.count_mend(wrong)).collect();
            let store = std::sync::Arc::clone(&self.store);
            let done = blocking(move || Ok(store.mend_counts(&orders, now_ms)?)).await?;
            mended.add("counts", Side::Node, done);
        }
        Ok(())
    }

    fn count_mend(&self, wrong: &Counter) -> Option<CountMend> {
        let id = |at: usize| self.ids().parse(wrong.key.get(at)?);
        let (held, due) = (partial(&wrong.held), partial(&wrong.due));
        Some(match wrong.counted {
            Counted::Pairs => CountMend::Pair {
                user: id(0)?,
                author: id(1)?,
                arrival: wrong.key.get(2)?.parse().ok()?,
                day: wrong.key.get(3)?.parse().ok()?,
                held,
                due,
            },
            Counted::Hours => CountMend::Hour {
                post: id(0)?,
                hour: wrong.key.get(1)?.parse().ok()?,
                held: held.counters,
                due: due.counters,
            },
        })
    }

    /// Rows of this node as the center takes them. What a node does not keep of a row is 1970, or nobody.
    fn center_rows(&self, rows: &[&Disputed], now_ms: TimestampMs) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for row in rows {
            let deleted = row.node.is_none();
            let version = match &row.node {
                Some(node) => node.version,
                None => self.newest_version(row.key)?,
            };
            let origin =
                Origin { cluster: &self.cluster, epoch: 0, topic: "resync", partition: 0, offset: 0, ts: now_ms };
            let Some(cdc) = cdc_row(self.ids(), row.key, row.node.as_ref()) else { continue };
            row::cdc(&mut bytes, self.ids(), &cdc, version, deleted, &origin);
            row::seal(&mut bytes, 0, 0);
        }
        Ok(bytes)
    }

    fn newest_version(&self, key: RowKey) -> Result<u64> {
        Ok(match key {
            RowKey::Post(id) => self.store.post_row(id)?.map_or(0, |row| row.version),
            RowKey::Comment(id) => self.store.comment_row(id)?.map_or(0, |row| row.version),
            key => self.store.link_row(key)?.map_or(0, |row| row.version),
        })
    }

    /// The center's row as this node keeps it, with the version that is held now.
    fn node_row(&self, row: &Disputed, now_ms: TimestampMs) -> Result<Option<(u64, Mend)>> {
        let looked = self.newest_version(row.key)?;
        // Gone at the center: from now on, at the version that was seen last.
        let removed = row.center.is_none().then_some(now_ms);
        let version = row.center.as_ref().map_or(looked.max(1), |center| center.version);
        let field = |at: usize| row.center.as_ref().and_then(|center| center.fields.get(at));
        let id = |at: usize| field(at).and_then(|text| self.ids().parse(text));
        let mend = match row.key {
            RowKey::Post(post) => {
                let created_at = field(1).and_then(|text| text.parse().ok());
                let author = id(0).zip(created_at);
                let hidden = field(2).is_some_and(|text| text == "1");
                Mend::Post(post, PostRow { version, removed, hidden, author })
            }
            RowKey::Comment(comment) => {
                Mend::Comment(comment, CommentRow { version, removed, post: id(0), user: id(1) })
            }
            key => Mend::Link(key, LinkRow { version, removed }),
        };
        Ok(Some((looked, mend)))
    }
}

/// Sums as this node keeps them.
fn partial(sums: &[u64]) -> Partial {
    let at = |at: usize| sums.get(at).copied().unwrap_or(0);
    let count = |place: usize| u32::try_from(at(place)).unwrap_or(u32::MAX);
    let counters = Counters {
        views: count(0),
        impressions: count(1),
        likes: count(2),
        comments: count(3),
        shares: count(4),
        dwell_ms: at(5),
    };
    Partial { counters, last_time: i64::try_from(at(6)).unwrap_or(i64::MAX) }
}

/// A row of this node, or its absence, as a row of the center.
fn cdc_row(ids: IdKind, key: RowKey, node: Option<&StateRow>) -> Option<CdcRow> {
    let field = |at: usize| node.and_then(|row| row.fields.get(at));
    let id = |at: usize| field(at).and_then(|text| ids.parse(text)).unwrap_or(Id(0));
    let created_at = 0;
    Some(match key {
        RowKey::Post(post) => CdcRow::Post {
            id: post,
            user_id: id(0),
            created_at: field(1).and_then(|text| text.parse().ok()).unwrap_or(0),
            deleted_at: field(2).is_some_and(|text| text == "1").then_some(0),
        },
        RowKey::Comment(comment) => CdcRow::Comment { id: comment, post_id: id(0), user_id: Id(0), created_at },
        RowKey::Follow(follower_id, following_id) => CdcRow::Follow { follower_id, following_id, created_at },
        RowKey::Like(user_id, post_id) => CdcRow::Like { user_id, post_id, created_at },
        RowKey::Block(blocker_id, blocked_id) => CdcRow::Block { blocker_id, blocked_id, created_at },
        RowKey::User(_) => return None,
    })
}
