//! How a walk is divided: by a sample of its ids, or by partition.

use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind};

use super::super::client::Center;
use super::super::error::Result;
use super::super::history::Cut;
use super::rows::{Fields, Rows};
use super::{Walk, render};

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

/// Rows sampled at most.
const SAMPLE: u64 = 4_096;
/// Parts of a walk at most.
const SHARDS_MAX: u64 = 512;
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
}

fn number(ids: IdKind, column: &str) -> String {
    render(&format!("{{n}}({column})"), ids)
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
}
