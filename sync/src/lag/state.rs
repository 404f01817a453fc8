//! What is known of all partitions together.

use std::collections::BTreeMap;

use edgefeed_storage::model::{TimestampMs, Topic, TopicPartition};
use edgefeed_storage::{Contact, Position, Stall};

use super::partition::{Following, Partition};
use crate::start::{Extent, Gap};

/// What is known of one topic as a whole.
#[derive(Clone, Debug)]
pub(super) struct TopicState {
    pub(super) kafka_name: String,
    pub(super) required: bool,
    pub(super) presence: Presence,
    pub(super) stall: Option<Stall>,
    /// When all of its partitions were last known.
    pub(super) complete_at: Option<TimestampMs>,
}

/// Whether Kafka has a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Not asked yet.
    Unknown,
    /// Kafka has it, and where to begin in each of its partitions is decided.
    There,
    /// Kafka answered, and does not show it.
    Missing(String),
}

/// The whole, behind the lock of [`super::Lag`].
#[derive(Debug)]
pub(super) struct State {
    pub(super) topics: BTreeMap<Topic, TopicState>,
    pub(super) partitions: BTreeMap<TopicPartition, Partition>,
    pub(super) caught_up: bool,
    /// Whether any record was ever applied.
    pub(super) applied: bool,
    pub(super) failure: Option<String>,
    /// When Kafka last answered.
    pub(super) last_contact: Option<TimestampMs>,
    /// Why the last attempt had no answer; empty since one had.
    pub(super) contact_error: Option<String>,
}

impl State {
    pub(super) fn new(
        followed: &[(Topic, String)],
        positions: &BTreeMap<TopicPartition, Position>,
        noted: Option<&Contact>,
    ) -> Self {
        let noted = |topic: Topic| noted.filter(|noted| noted.topics.contains(&topic)).map(|noted| noted.through);
        let topics = followed.iter().map(|(topic, name)| {
            let required = !matches!(topic, Topic::Blocks | Topic::Users);
            let state = TopicState {
                kafka_name: name.clone(),
                required,
                presence: Presence::Unknown,
                stall: None,
                // All of its partitions were known then.
                complete_at: noted(*topic),
            };
            (*topic, state)
        });
        let topics: BTreeMap<_, _> = topics.collect();
        let partitions = positions
            .iter()
            .filter(|(at, _)| topics.contains_key(&at.topic))
            .map(|(at, position)| (*at, Partition::stored(position, noted(at.topic))))
            .collect();
        Self {
            topics,
            partitions,
            caught_up: false,
            applied: positions.values().any(|position| position.last_offset >= 0),
            failure: None,
            last_contact: None,
            contact_error: None,
        }
    }

    pub(super) fn started(&mut self, at: TopicPartition, next: i64) {
        // A partition that was not there when the topic was last looked at holds nothing older than that look.
        let since = self.topics.get(&at.topic).and_then(|topic| topic.complete_at);
        let partition = self.partitions.entry(at).or_insert_with(|| Partition::new(next));
        partition.following = Following::Yes;
        partition.fresh_through = partition.fresh_through.or(since);
    }

    pub(super) fn gap(&mut self, at: TopicPartition, gap: Gap) {
        let partition = self.partitions.entry(at).or_insert_with(|| Partition::new(gap.stored_offset));
        partition.following = Following::Gap(gap);
        self.latch();
    }

    pub(super) fn heard(&mut self, at: TopicPartition, log: Extent, as_of: TimestampMs) {
        if let Some(partition) = self.partitions.get_mut(&at) {
            partition.heard(log, as_of);
        }
    }

    pub(super) fn is_stalled(&self, topic: Topic) -> bool {
        self.topics.get(&topic).is_some_and(|state| state.stall.is_some())
    }

    /// The partitions that count: those that can move.
    pub(super) fn moving(&self) -> impl Iterator<Item = (&TopicPartition, &Partition)> {
        self.partitions.iter().filter(|(at, partition)| !partition.is_gap() && !self.is_stalled(at.topic))
    }

    /// Notes the first catch-up: every required topic is there, and every partition that can move has reached the end
    /// it had at the first contact.
    pub(super) fn latch(&mut self) {
        if self.caught_up {
            return;
        }
        let topics_there = self.topics.values().all(|topic| match topic.presence {
            Presence::There => true,
            Presence::Missing(_) => !topic.required,
            Presence::Unknown => false,
        });
        self.caught_up = topics_there && self.moving().all(|(_, partition)| partition.caught_up());
    }

    /// Everything written to Kafka until then has been applied, in every partition that is not a gap; nothing while
    /// that is unknown of one.
    pub(super) fn applied_through(&self, now_ms: TimestampMs) -> Option<TimestampMs> {
        let unheard = |topic: &Topic, known: &TopicState| {
            known.presence == Presence::Unknown && !self.partitions.keys().any(|at| at.topic == *topic)
        };
        // Before any contact, what the store knows is all there is to judge by.
        if self.last_contact.is_some() && self.topics.iter().any(|(topic, known)| unheard(topic, known)) {
            return None;
        }
        let mut through = None;
        for partition in self.partitions.values().filter(|partition| !partition.is_gap()) {
            let fresh = partition.fresh_through?;
            through = Some(through.map_or(fresh, |through: i64| through.min(fresh)));
        }
        // Without a partition there is nothing that could be old since Kafka last said so.
        through.or(self.last_contact).map(|through| through.min(now_ms))
    }
}
