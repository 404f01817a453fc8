//! What a node needs at a start: a pure decision from what its store holds, what Kafka has, and what else there is to
//! start from. Nothing is ever jumped over in silence.

use std::collections::BTreeMap;

use edgefeed_storage::Position;
use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use serde::Serialize;

use super::retention::retentions;
use crate::center::Table;
use crate::error::Result;
use crate::names::Names;
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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Its name.
    pub id: String,
    /// The node it was made of.
    pub node: String,
    /// How old it is, in seconds.
    pub age_s: f64,
    /// Whether Kafka's log continues it.
    pub continued: bool,
    /// Records that would have to be replayed behind it.
    pub behind: u64,
    /// For how many seconds more Kafka keeps what comes next behind it, where that is known.
    pub kept_for_s: Option<f64>,
}

/// How far something has been applied, be it a store or a backup: by partition, the offset to read next and Kafka's time of
/// the record before it.
pub type Reach = BTreeMap<TopicPartition, (i64, TimestampMs)>;

/// Everything the decision is made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// What Kafka and the store say.
    pub measured: Measured,
    /// Records a second that this node applies.
    pub rate: f64,
    /// For how many seconds more Kafka keeps what comes next, where that is known.
    pub kept_for_s: Option<f64>,
    /// The backup to start from, if one was looked for and found.
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
    if let Some(kept_s) = facts.kept_for_s.filter(|kept_s| races(replay_s, Some(*kept_s))) {
        let why = format!(
            "{behind} records behind: {replay_s:.0} s of replay, and Kafka drops what comes next in {kept_s:.0} s"
        );
        return otherwise(facts, why, Step::Replay);
    }
    let saves = |checkpoint: &&Checkpoint| checkpoint.continued && checkpoint.behind.saturating_mul(4) < *behind;
    if replay_s > LONG_S
        && facts.auto
        && let Some(checkpoint) = facts.checkpoint.as_ref().filter(saves)
    {
        let why = format!("{behind} records behind, {} behind {}", checkpoint.behind, checkpoint.named());
        return Decision { step: Step::Restore, why };
    }
    let step = if replay_s > TAIL_S { Step::Replay } else { Step::Tail };
    Decision { step, why: format!("{behind} records behind, about {replay_s:.0} s at {:.0} records/s", facts.rate) }
}

/// Whether Kafka may drop what comes next before it was read. What is applied in no time is not worth the question: how
/// old the next record is, is known only from the one before it.
fn races(replay_s: f64, kept_for_s: Option<f64>) -> bool {
    replay_s > TAIL_S && kept_for_s.is_some_and(|kept_s| replay_s > kept_s)
}

/// What to do where following Kafka will not do.
fn otherwise(facts: &Facts, why: String, last: Step) -> Decision {
    let races = |checkpoint: &Checkpoint| races(checkpoint.behind as f64 / facts.rate.max(1.0), checkpoint.kept_for_s);
    let (step, how) = match (facts, facts.checkpoint.as_ref().filter(|checkpoint| checkpoint.continued)) {
        (Facts { auto: true, center, .. }, Some(checkpoint)) if !(*center && races(checkpoint)) => {
            (Step::Restore, format!("Kafka continues {}", checkpoint.named()))
        }
        (Facts { auto: true, center: true, .. }, _) => (Step::Bootstrap, "rebuilding from the center".to_owned()),
        (_, Some(checkpoint)) => {
            let how = "resync.auto is off; stop the node, move its store away, and order `edgefeed backup restore";
            (last, format!("{how} {} --node {}`", checkpoint.id, checkpoint.node))
        }
        (Facts { center: true, .. }, _) => (last, "resync.auto is off; order `edgefeed resync bootstrap`".to_owned()),
        _ => (last, "there is neither a backup that Kafka continues nor a center to rebuild from".to_owned()),
    };
    Decision { step, why: format!("{why}; {how}") }
}

impl Checkpoint {
    /// In words.
    fn named(&self) -> String {
        format!("backup {} of node {} of {:.0} s ago", self.id, self.node, self.age_s)
    }
}

/// How far Kafka's logs go, and for how long they keep what they have.
#[derive(Debug)]
pub struct Survey {
    logs: BTreeMap<TopicPartition, Extent>,
    names: Names,
    /// By topic, in milliseconds.
    kept_ms: BTreeMap<Topic, i64>,
}

impl Survey {
    /// Asks Kafka. Blocks for a few times `kafka.request_timeout_ms` at most.
    ///
    /// # Errors
    /// When Kafka could not be asked.
    pub fn take(kafka: &crate::Config, sink: &crate::sink::Config) -> Result<Self> {
        let group = Group::connect(kafka, sink)?;
        let partitions = group.partitions()?;
        let logs = group.logs(&partitions)?;
        Ok(Self { logs, names: group.names, kept_ms: retentions(kafka) })
    }

    /// Compares a store's positions with the logs.
    pub fn measured(&self, positions: &BTreeMap<TopicPartition, Position>) -> Measured {
        let name =
            |at: TopicPartition| format!("{}-{}", self.names.name(at.topic).unwrap_or(at.topic.name()), at.partition);
        compare(positions, &self.logs, name)
    }

    /// For how many seconds more Kafka keeps the record that comes next, in the partition where that is least, by the
    /// topics' `retention.ms`; `None` where nothing is behind, nothing expires, or Kafka does not say.
    pub fn kept_for_s(&self, reach: &Reach, now_ms: TimestampMs) -> Option<f64> {
        let left = reach.iter().filter_map(|(at, (next, last_time))| {
            let kept_ms = self.kept_ms.get(&at.topic)?;
            self.logs.get(at).filter(|log| *next < log.end)?;
            // What comes next was written after what came last.
            (*last_time > 0).then(|| last_time.saturating_add(*kept_ms).saturating_sub(now_ms))
        });
        left.min().map(|left_ms| left_ms.max(0) as f64 / 1e3)
    }

    /// What starting from a backup would come to.
    pub fn checkpoint(
        &self,
        (id, node): (&str, &str),
        created_ms: TimestampMs,
        reach: &Reach,
        now_ms: TimestampMs,
    ) -> Checkpoint {
        // Which record stands at its end is seen when it is restored and the log is read on.
        let position = |(next, last_time): &(i64, TimestampMs)| Position {
            next_offset: *next,
            last_offset: -1,
            last_time: *last_time,
            watermark: *last_time,
            marked_from: *next,
        };
        let measured = self.measured(&reach.iter().map(|(at, held)| (*at, position(held))).collect());
        let there = reach.keys().all(|at| self.logs.contains_key(at));
        Checkpoint {
            id: id.to_owned(),
            node: node.to_owned(),
            age_s: now_ms.saturating_sub(created_ms).max(0) as f64 / 1e3,
            continued: there && measured.holds && measured.gaps.is_empty() && measured.beheaded.is_empty(),
            behind: measured.behind,
            kept_for_s: self.kept_for_s(reach, now_ms),
        }
    }
}

/// How far a store has come.
pub fn reach(positions: &BTreeMap<TopicPartition, Position>) -> Reach {
    positions.iter().map(|(at, held)| (*at, (held.next_offset, held.last_time))).collect()
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

    fn checkpoint() -> Checkpoint {
        let (id, node) = ("20261125T181500123Z-3f9a".to_owned(), "n2".to_owned());
        Checkpoint { id, node, age_s: 300.0, continued: true, behind: 1_000, kept_for_s: None }
    }

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
    }

    #[test]
    fn past_retention_a_backup_that_kafka_continues_comes_before_the_center() {
        let facts = |checkpoint| Facts { checkpoint: Some(checkpoint), ..gap() };
        let decision = decide(&facts(checkpoint()));
        assert_eq!(decision.step, Step::Restore);
        assert!(decision.why.contains("GAP") && decision.why.contains(&checkpoint().id), "{}", decision.why);
        assert_eq!(step(&Facts { center: false, ..facts(checkpoint()) }), Step::Restore);
        let torn = Checkpoint { continued: false, ..checkpoint() };
        assert_eq!(step(&facts(torn.clone())), Step::Bootstrap);
        assert_eq!(step(&Facts { center: false, ..facts(torn) }), Step::Gap);
        let off = decide(&Facts { auto: false, ..facts(checkpoint()) });
        assert_eq!(off.step, Step::Gap, "nobody allowed it");
        assert!(off.why.contains("edgefeed backup restore 20261125T181500123Z-3f9a --node n2"), "{}", off.why);
    }

    #[test]
    fn a_backup_whose_next_records_kafka_may_drop_first_comes_behind_the_center() {
        let late = Checkpoint { behind: 60_000, kept_for_s: Some(50.0), ..checkpoint() };
        let facts = |checkpoint| Facts { checkpoint: Some(checkpoint), ..gap() };
        assert_eq!(step(&facts(late.clone())), Step::Bootstrap);
        assert_eq!(step(&Facts { center: false, ..facts(late.clone()) }), Step::Restore, "what can be had is had");
        assert_eq!(step(&facts(Checkpoint { kept_for_s: Some(70.0), ..late.clone() })), Step::Restore);
        assert_eq!(step(&facts(Checkpoint { behind: 9_000, kept_for_s: Some(0.0), ..late })), Step::Restore);
    }

    #[test]
    fn a_race_with_kafkas_retention_is_not_begun() {
        let slow = Facts { kept_for_s: Some(50.0), ..facts(60_000) };
        assert_eq!(step(&slow), Step::Bootstrap);
        assert_eq!(step(&Facts { kept_for_s: Some(70.0), ..facts(60_000) }), Step::Replay);
        assert_eq!(step(&Facts { center: false, ..slow }), Step::Replay, "what can be had is had");
        // A partition in which nothing was written for longer than Kafka keeps: its next record may be of this second.
        assert_eq!(step(&Facts { kept_for_s: Some(0.0), ..facts(40) }), Step::Tail);
    }

    #[test]
    fn a_backup_is_taken_where_it_saves_most_of_a_long_replay() {
        let long = Facts { checkpoint: Some(checkpoint()), ..facts(700_000) };
        assert_eq!(step(&long), Step::Restore);
        assert_eq!(step(&Facts { auto: false, ..long.clone() }), Step::Replay);
        assert_eq!(step(&Facts { checkpoint: Some(checkpoint()), ..facts(500_000) }), Step::Replay);
        let old = Checkpoint { behind: 400_000, ..checkpoint() };
        assert_eq!(step(&Facts { checkpoint: Some(old), ..long }), Step::Replay);
    }

    #[test]
    fn an_empty_store_is_rebuilt_only_where_kafka_lost_the_beginning() {
        let mut empty = facts(700);
        empty.measured.holds = false;
        assert_eq!(step(&empty), Step::Tail);
        empty.measured.beheaded.push("cdc.posts-0".to_owned());
        assert_eq!(step(&empty), Step::Bootstrap);
        assert_eq!(step(&Facts { checkpoint: Some(checkpoint()), center: false, ..empty.clone() }), Step::Restore);
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

    #[test]
    fn a_backup_is_held_against_the_logs_like_a_store() {
        let at = |topic, partition| TopicPartition { topic, partition };
        let logs = BTreeMap::from([
            (at(Topic::Events, 0), Extent { start: 30, end: 100 }),
            (at(Topic::Events, 1), Extent { start: 7, end: 7 }),
            (at(Topic::Posts, 0), Extent { start: 0, end: 12 }),
        ]);
        let kept_ms = BTreeMap::from([(Topic::Events, 60_000)]);
        let survey = Survey { logs, names: Names::new(Vec::new()), kept_ms };
        let whole = Reach::from([(at(Topic::Events, 0), (40, 5_000)), (at(Topic::Events, 1), (7, 1_000))]);
        let looked = |reach: &Reach| survey.checkpoint(("b", "n"), 15_000, reach, 45_000);
        let found = looked(&whole);
        // Nothing comes next in the second partition, so nothing of it can be dropped.
        let expected = Checkpoint { behind: 60 + 12, age_s: 30.0, kept_for_s: Some(20.0), ..looked(&whole) };
        assert_eq!((found.continued, &found), (true, &expected));
        let dropped = Reach::from([(at(Topic::Events, 0), (29, 5_000)), (at(Topic::Events, 1), (7, 1_000))]);
        assert!(!looked(&dropped).continued);
        let beyond = Reach::from([(at(Topic::Events, 0), (40, 5_000)), (at(Topic::Events, 1), (8, 1_000))]);
        assert!(!looked(&beyond).continued);
        let unknown = Reach::from([(at(Topic::Events, 0), (40, 5_000))]);
        assert!(!looked(&unknown).continued, "it knows nothing of a partition that has lost its beginning");
        let gone = Reach::from([(at(Topic::Likes, 0), (1, 1_000))]).into_iter().chain(whole).collect();
        assert!(!looked(&gone).continued, "Kafka has no such partition");
        assert!(!looked(&Reach::new()).continued, "an empty backup is no better than none");
    }
}
