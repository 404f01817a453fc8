//! What a node needs at a start: a pure decision from what its store holds, what Kafka has, and what else there is to
//! start from. Nothing is ever jumped over in silence.

use std::collections::BTreeMap;

use edgefeed_storage::Position;
use edgefeed_storage::model::{TimestampMs, TopicPartition};
use serde::Serialize;

use super::retention::retentions;
use crate::center::Table;
use crate::error::Result;
use crate::sink::Group;
use crate::start::{self, Extent, GapReason};

/// A backlog that is applied within so many seconds is no replay worth a word.
const TAIL_S: f64 = 10.0;
/// From so many seconds of replay on, a checkpoint that saves most of it is worth its restore.
const LONG_S: f64 = 600.0;
/// Records a second of a node that never replayed enough to tell.
pub const DEFAULT_RATE: f64 = 30_000.0;

/// What Kafka and the store say of each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Whether the store was ever applied to.
    pub holds: bool,
    /// Records yet to be applied.
    pub behind: u64,
    /// Partitions whose log does not continue what the store holds, and why.
    pub gaps: BTreeMap<String, GapReason>,
    /// Partitions that the store does not know and whose beginning Kafka no longer has.
    pub beheaded: Vec<String>,
    /// Records that Kafka keeps before the store's place, in the partition where they are fewest.
    pub room_records: Option<u64>,
}

/// A backup that could be restored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Checkpoint {
    /// How old it is, in seconds.
    pub age_s: f64,
    /// Whether Kafka's log continues it.
    pub continued: bool,
    /// Records that would have to be replayed behind it.
    pub behind: u64,
}

/// Everything the decision is made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// What Kafka and the store say.
    pub measured: Measured,
    /// Records a second that this node applies.
    pub rate: f64,
    /// For how many seconds more Kafka keeps what comes next, where that is known.
    pub kept_for_s: Option<f64>,
    /// The newest backup.
    pub checkpoint: Option<Checkpoint>,
    /// Whether there is a center to rebuild from.
    pub center: bool,
    /// `resync.auto`.
    pub auto: bool,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It follows Kafka from where it stands.
    Tail,
    /// It has a lot to apply first.
    Replay,
    /// It starts from a backup.
    Restore,
    /// It is rebuilt from the center.
    Bootstrap,
    /// Something is missing for good, and nobody allows to fill it in: what is held is served, and the gap is shown.
    Gap,
}

/// What was decided, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What is done.
    pub step: Step,
    /// Why.
    pub why: String,
}

impl Step {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::Replay => "replay",
            Self::Restore => "restore",
            Self::Bootstrap => "bootstrap",
            Self::Gap => "gap",
        }
    }
}

/// Decides.
pub fn decide(facts: &Facts) -> Decision {
    let Measured { holds, behind, gaps, beheaded, .. } = &facts.measured;
    let replay_s = *behind as f64 / facts.rate.max(1.0);
    if let Some((partition, reason)) = gaps.first_key_value() {
        let why = format!(
            "GAP: Kafka's log does not continue the store in {} partition(s), the first {partition} ({reason:?})",
            gaps.len()
        );
        return otherwise(facts, why, Step::Gap);
    }
    if !holds && let Some(first) = beheaded.first() {
        let why = format!("the store is empty, and Kafka no longer has the beginning of {first}");
        return otherwise(facts, why, Step::Replay);
    }
    if let Some(kept_s) = facts.kept_for_s.filter(|kept_s| replay_s > *kept_s) {
        let why = format!(
            "{behind} records behind: {replay_s:.0} s of replay, and Kafka drops what comes next in {kept_s:.0} s"
        );
        return otherwise(facts, why, Step::Replay);
    }
    let saves = |checkpoint: &Checkpoint| checkpoint.continued && checkpoint.behind.saturating_mul(4) < *behind;
    if replay_s > LONG_S
        && let Some(checkpoint) = facts.checkpoint.filter(saves)
    {
        let why =
            format!("{behind} records behind, {} behind a backup of {:.0} s ago", checkpoint.behind, checkpoint.age_s);
        return Decision { step: Step::Restore, why };
    }
    let step = if replay_s > TAIL_S { Step::Replay } else { Step::Tail };
    Decision { step, why: format!("{behind} records behind, about {replay_s:.0} s at {:.0} records/s", facts.rate) }
}

/// What to do where following Kafka will not do.
fn otherwise(facts: &Facts, why: String, last: Step) -> Decision {
    let (step, how) = match facts {
        Facts { checkpoint: Some(Checkpoint { continued: true, age_s, .. }), .. } => {
            (Step::Restore, format!("Kafka continues the backup of {age_s:.0} s ago"))
        }
        Facts { center: true, auto: true, .. } => (Step::Bootstrap, "rebuilding from the center".to_owned()),
        Facts { center: true, .. } => (last, "resync.auto is off; order `edgefeed resync bootstrap`".to_owned()),
        _ => (last, "there is no center to rebuild from".to_owned()),
    };
    Decision { step, why: format!("{why}; {how}") }
}

/// Compares a store's positions with Kafka's logs. Blocks for a few times `kafka.request_timeout_ms` at most.
///
/// # Errors
/// When Kafka could not be asked.
pub fn measure(
    kafka: &crate::Config,
    sink: &crate::sink::Config,
    positions: &BTreeMap<TopicPartition, Position>,
) -> Result<Measured> {
    let group = Group::connect(kafka, sink)?;
    let partitions = group.partitions()?;
    let logs = group.logs(&partitions)?;
    let name =
        |at: TopicPartition| format!("{}-{}", group.names.name(at.topic).unwrap_or(at.topic.name()), at.partition);
    Ok(compare(positions, &logs, name))
}

/// For how many seconds more Kafka keeps the record that comes next, in the partition where that is least, by the topics'
/// `retention.ms`; `None` where nothing is behind, nothing expires, or Kafka does not say. Blocks like [`measure`].
pub fn kept_for_s(
    kafka: &crate::Config,
    positions: &BTreeMap<TopicPartition, Position>,
    measured: &Measured,
    now_ms: TimestampMs,
) -> Option<f64> {
    if measured.behind == 0 {
        return None;
    }
    let retentions = retentions(kafka);
    let left = positions.iter().filter_map(|(at, held)| {
        let kept_ms = retentions.get(&at.topic)?;
        // What comes next was written after what came last.
        (held.last_time > 0).then(|| held.last_time.saturating_add(*kept_ms).saturating_sub(now_ms))
    });
    left.min().map(|left_ms| left_ms.max(0) as f64 / 1e3)
}

fn compare(
    positions: &BTreeMap<TopicPartition, Position>,
    logs: &BTreeMap<TopicPartition, Extent>,
    name: impl Fn(TopicPartition) -> String,
) -> Measured {
    let mut measured = Measured { holds: !positions.is_empty(), ..Measured::default() };
    for (at, log) in logs {
        let held = positions.get(at);
        // What the center does not list, it cannot fill in either.
        if held.is_none() && log.start > 0 && Table::of(at.topic).is_some() {
            measured.beheaded.push(name(*at));
        }
        match start::start(held, *log) {
            Ok(begin) => {
                measured.behind += u64::try_from(log.end - begin.next).unwrap_or(0);
                let room = held.map(|held| u64::try_from(held.next_offset - log.start).unwrap_or(0));
                measured.room_records = [measured.room_records, room].into_iter().flatten().min();
            }
            Err(gap) => {
                measured.gaps.insert(name(*at), gap.reason);
            }
        }
    }
    measured
}

#[cfg(test)]
mod tests {
    use edgefeed_storage::model::Topic;

    use super::*;

    fn facts(behind: u64) -> Facts {
        let measured = Measured { holds: true, behind, ..Measured::default() };
        Facts { measured, rate: 1_000.0, kept_for_s: None, checkpoint: None, center: true, auto: true }
    }

    fn gap() -> Facts {
        let mut facts = facts(5);
        facts.measured.gaps.insert("events-3".to_owned(), GapReason::BelowLogStart);
        facts
    }

    const CHECKPOINT: Checkpoint = Checkpoint { age_s: 300.0, continued: true, behind: 1_000 };

    fn step(facts: &Facts) -> Step {
        decide(facts).step
    }

    #[test]
    fn a_small_backlog_is_tailed_and_a_large_one_replayed() {
        assert_eq!(step(&facts(0)), Step::Tail);
        assert_eq!(step(&facts(10_000)), Step::Tail);
        assert_eq!(step(&facts(10_001)), Step::Replay);
        assert_eq!(step(&Facts { rate: 100_000.0, ..facts(900_000) }), Step::Tail, "it is time that counts");
    }

    #[test]
    fn past_retention_nothing_is_jumped_over_in_silence() {
        let decision = decide(&gap());
        assert_eq!(decision.step, Step::Bootstrap);
        assert!(decision.why.contains("GAP") && decision.why.contains("events-3"), "{}", decision.why);
        assert_eq!(step(&Facts { auto: false, ..gap() }), Step::Gap);
        assert!(decide(&Facts { auto: false, ..gap() }).why.contains("edgefeed resync bootstrap"));
        assert_eq!(step(&Facts { center: false, ..gap() }), Step::Gap);
        assert_eq!(step(&Facts { checkpoint: Some(CHECKPOINT), ..gap() }), Step::Restore);
        let torn = Checkpoint { continued: false, ..CHECKPOINT };
        assert_eq!(step(&Facts { checkpoint: Some(torn), ..gap() }), Step::Bootstrap);
    }

    #[test]
    fn a_race_with_kafkas_retention_is_not_begun() {
        let slow = Facts { kept_for_s: Some(50.0), ..facts(60_000) };
        assert_eq!(step(&slow), Step::Bootstrap);
        assert_eq!(step(&Facts { kept_for_s: Some(70.0), ..facts(60_000) }), Step::Replay);
        assert_eq!(step(&Facts { center: false, ..slow }), Step::Replay, "what can be had is had");
    }

    #[test]
    fn a_backup_is_taken_where_it_saves_most_of_a_long_replay() {
        let long = Facts { checkpoint: Some(CHECKPOINT), ..facts(700_000) };
        assert_eq!(step(&long), Step::Restore);
        assert_eq!(step(&Facts { checkpoint: Some(CHECKPOINT), ..facts(500_000) }), Step::Replay);
        let old = Checkpoint { behind: 400_000, ..CHECKPOINT };
        assert_eq!(step(&Facts { checkpoint: Some(old), ..long }), Step::Replay);
    }

    #[test]
    fn an_empty_store_is_rebuilt_only_where_kafka_lost_the_beginning() {
        let mut empty = facts(700);
        empty.measured.holds = false;
        assert_eq!(step(&empty), Step::Tail);
        empty.measured.beheaded.push("cdc.posts-0".to_owned());
        assert_eq!(step(&empty), Step::Bootstrap);
        assert_eq!(step(&Facts { center: false, ..empty }), Step::Replay, "from what Kafka still has");
    }

    #[test]
    fn positions_are_held_against_the_logs() {
        let at = |topic, partition| TopicPartition { topic, partition };
        let held = |next_offset| Position { next_offset, last_offset: -1, last_time: 0, watermark: 0, marked_from: 0 };
        let positions = BTreeMap::from([(at(Topic::Events, 0), held(40)), (at(Topic::Events, 1), held(4))]);
        let log = |start, end| Extent { start, end };
        let logs = BTreeMap::from([
            (at(Topic::Events, 0), log(30, 100)),
            (at(Topic::Events, 1), log(5, 9)),
            (at(Topic::Posts, 0), log(2, 12)),
            (at(Topic::Users, 0), log(2, 12)),
        ]);
        let found = compare(&positions, &logs, |at| format!("{}-{}", at.topic.name(), at.partition));
        assert_eq!(found.behind, 60 + 10 + 10);
        assert_eq!(found.gaps, BTreeMap::from([("events-1".to_owned(), GapReason::BelowLogStart)]));
        assert_eq!((found.beheaded, found.room_records), (vec!["posts-0".to_owned()], Some(10)));
    }
}
