//! What this node counted of events held against what the center's events say: of its own part of the log, since of the
//! rest it counted nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edgefeed_storage::model::{Counters, Day, Hour, Id, IdKind, TimestampMs, Topic, day_of, hour_of};
use edgefeed_storage::{AFFINITY_DAYS, Partial, Store};

use super::finding::{Finding, Kind, Side, Verdict};
use super::{Audit, Ground, Result, blocking};
use crate::center::Cut;
use crate::center::audit::{BUCKETS, Bucket, Count, Counted, Own};

/// Hours compared: a day less than nodes keep.
const HOURS: Hour = 7 * 24;
/// Buckets compared count by count at a time.
const AT_A_TIME: usize = 128;
/// How often what differs is looked at, while events go on changing it.
const LOOKS: usize = 5;

/// A count of this node that is not what the events say. Zeros: there is none, or should be none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) counted: Counted,
    pub(super) key: Vec<String>,
    pub(super) held: Vec<u64>,
    pub(super) due: Vec<u64>,
}

/// By key: what the node holds and what it should.
type Differing = BTreeMap<Vec<String>, (Vec<u64>, Vec<u64>)>;

impl Audit {
    /// Compares counts by reader and author, and by post and hour.
    pub(super) async fn counters(&self, ground: &Ground, now_ms: TimestampMs, verdict: &mut Verdict) -> Result<()> {
        let Some(cut) = Cut::of(&self.store.begins(), now_ms) else { return Ok(()) };
        let whole = self.store.whole_base();
        for counted in [Counted::Pairs, Counted::Hours] {
            if counted == Counted::Hours && whole.is_some() {
                let why = "post_hours: this node was built from the center, and no longer knows which of them it counted itself";
                verdict.unproved.push(why.to_owned());
                continue;
            }
            self.of_kind(counted, &cut, ground, now_ms, verdict).await?;
        }
        Ok(())
    }

    async fn of_kind(
        &self,
        counted: Counted,
        cut: &Cut,
        ground: &Ground,
        now_ms: TimestampMs,
        verdict: &mut Verdict,
    ) -> Result<()> {
        let topic = self.kafka.topics.followed().into_iter().find(|(topic, _)| *topic == Topic::Events);
        let topic = topic.map(|(_, name)| name).unwrap_or_default();
        let own = Own {
            cluster: &self.cluster,
            topic: &topic,
            cut,
            first_day: day_of(now_ms).saturating_sub(AFFINITY_DAYS - 1),
            first_hour: hour_of(now_ms).saturating_sub(HOURS),
        };
        let (store, ids, range) = (Arc::clone(&self.store), self.ids(), (own.first_day, own.first_hour));
        let here = blocking(move || node_buckets(&store, ids, counted, range)).await?;
        let there: BTreeMap<u32, Bucket> =
            self.center.count_buckets(counted, &own, self.limit).await?.into_iter().collect();
        verdict.compare(counted.name(), here.values().map(|bucket| bucket.rows).sum());
        let mut suspects: Vec<u32> = (0..BUCKETS).filter(|bucket| here.get(bucket) != there.get(bucket)).collect();
        let mut before: Option<Differing> = None;
        for _ in 0..LOOKS {
            if suspects.is_empty() {
                return Ok(());
            }
            if !self.passed(ground, Topic::Events).await? {
                verdict.unproved.push(format!("{}: the sink has not passed what this node counted", counted.name()));
                return Ok(());
            }
            let differing = self.differing_counts(counted, &own, &suspects).await?;
            let Some(was) = before.take() else {
                suspects = buckets(&differing);
                before = Some(differing);
                continue;
            };
            let (same, moving): (Differing, Differing) =
                differing.into_iter().partition(|(key, sides)| was.get(key) == Some(sides));
            let room = self.most.saturating_sub(verdict.counters.len());
            let counter = |(key, (held, due))| Counter { counted, key, held, due };
            verdict.counters.extend(same.into_iter().take(room).map(counter));
            suspects = buckets(&moving);
            before = Some(moving);
        }
        if let Some(moving) = before.filter(|moving| !moving.is_empty()) {
            let name = counted.name();
            verdict
                .unproved
                .push(format!("{name}: {} counts went on changing and could not be compared", moving.len()));
        }
        Ok(())
    }

    async fn differing_counts(&self, counted: Counted, own: &Own<'_>, suspects: &[u32]) -> Result<Differing> {
        let mut differing = Differing::new();
        for wanted in suspects.chunks(AT_A_TIME) {
            let (store, ids, range) = (Arc::clone(&self.store), self.ids(), (own.first_day, own.first_hour));
            let set: BTreeSet<u32> = wanted.iter().copied().collect();
            let (here, renewed) = blocking(move || node_counts(&store, ids, counted, range, &set)).await?;
            let there = self.center.counts_of(counted, own, wanted, self.limit).await?;
            let zeros = vec![0; counted.sums()];
            let mut both = Differing::new();
            for count in here {
                both.entry(count.key).or_insert_with(|| (zeros.clone(), zeros.clone())).0 = count.sums;
            }
            for count in there {
                both.entry(count.key).or_insert_with(|| (zeros.clone(), zeros.clone())).1 = count.sums;
            }
            // Of a renewed reader the days before were taken from the center, and are compared by renewing them again.
            both.retain(|key, (held, due)| held != due && !renewed.covers(counted, key));
            differing.extend(both);
        }
        Ok(differing)
    }
}

fn buckets(differing: &Differing) -> Vec<u32> {
    let bucket = |key: &Vec<String>| Count { key: key.clone(), sums: Vec::new() }.bucket();
    let buckets: BTreeSet<u32> = differing.keys().map(bucket).collect();
    buckets.into_iter().collect()
}

/// From which day of arrival on readers' counts are this node's own, where that is not from its beginning.
#[derive(Debug, Default)]
struct Renewed {
    all: Option<Day>,
    by_reader: BTreeMap<String, Day>,
}

impl Renewed {
    fn covers(&self, counted: Counted, key: &[String]) -> bool {
        let (Counted::Pairs, Some(reader), Some(arrived)) = (counted, key.first(), key.get(2)) else { return false };
        let own_from = self.by_reader.get(reader).copied().max(self.all);
        own_from.is_some_and(|own_from| arrived.parse::<Day>().is_ok_and(|arrived| arrived < own_from))
    }
}

impl Counted {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "user_author_days",
            Self::Hours => "post_hours",
        }
    }

    const fn sums(self) -> usize {
        match self {
            Self::Pairs => 7,
            Self::Hours => 6,
        }
    }
}

impl Counter {
    pub(super) fn told(&self) -> Finding {
        let kind = Kind::of_sums(&self.held, &self.due);
        let detail = format!("holds {:?}, events make it {:?}", self.held, self.due);
        Finding { side: Side::Node, table: self.counted.name(), kind, key: self.key.join(" "), detail }
    }
}

fn node_buckets(store: &Store, ids: IdKind, counted: Counted, range: (Day, Hour)) -> Result<BTreeMap<u32, Bucket>> {
    let mut buckets: BTreeMap<u32, Bucket> = BTreeMap::new();
    each_count(store, ids, counted, range, |count| buckets.entry(count.bucket()).or_default().add(count.mark()))?;
    Ok(buckets)
}

fn node_counts(
    store: &Store,
    ids: IdKind,
    counted: Counted,
    range: (Day, Hour),
    buckets: &BTreeSet<u32>,
) -> Result<(Vec<Count>, Renewed)> {
    let mut counts = Vec::new();
    each_count(store, ids, counted, range, |count| {
        if buckets.contains(&count.bucket()) {
            counts.push(count);
        }
    })?;
    let mut renewed = Renewed { all: store.whole_base().and_then(|base| base.own_from), ..Renewed::default() };
    store.each_base(|user, base| {
        if let Some(own_from) = base.own_from {
            renewed.by_reader.insert(ids.format(user), own_from);
        }
    })?;
    Ok((counts, renewed))
}

fn each_count(
    store: &Store,
    ids: IdKind,
    counted: Counted,
    (first_day, first_hour): (Day, Hour),
    mut visit: impl FnMut(Count),
) -> Result<()> {
    match counted {
        Counted::Pairs => store.each_partial(|user, author, arrived, day, partial: Partial| {
            if day >= first_day {
                let mut sums = sums(&partial.counters);
                sums.push(u64::try_from(partial.last_time).unwrap_or(0));
                let key = vec![ids.format(user), ids.format(author), arrived.to_string(), day.to_string()];
                visit(Count { key, sums });
            }
        })?,
        Counted::Hours => store.each_post_hour(|post: Id, hour, counters| {
            if hour >= first_hour {
                visit(Count { key: vec![ids.format(post), hour.to_string()], sums: sums(&counters) });
            }
        })?,
    }
    Ok(())
}

fn sums(counters: &Counters) -> Vec<u64> {
    let Counters { views, impressions, likes, comments, shares, dwell_ms } = *counters;
    vec![views.into(), impressions.into(), likes.into(), comments.into(), shares.into(), dwell_ms]
}
