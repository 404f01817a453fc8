//! A moment that reading has to get past: everything that stood in a topic then has been applied since.
//!
//! It is counted in answers, not in time, so that no clock can lie about it: of two answers about a log's end that come
//! after the moment, the second was also asked for after it.

use std::collections::BTreeMap;

use edgefeed_storage::model::{Topic, TopicPartition};

use super::Lag;
use super::state::Presence;

/// Answers after a moment until one was surely asked for after it.
const HEARINGS: u64 = 2;

/// A moment in a topic; see [`Lag::barrier`].
#[derive(Debug)]
pub struct Barrier {
    topic: Topic,
    /// Answers heard of each partition before the moment.
    before: BTreeMap<TopicPartition, u64>,
    /// Where the logs ended after it, once that is known.
    goals: Option<BTreeMap<TopicPartition, i64>>,
}

impl Lag {
    /// Now, as a moment to get past.
    pub fn barrier(&self, topic: Topic) -> Barrier {
        let state = self.state();
        let of_topic = state.partitions.iter().filter(|(at, _)| at.topic == topic);
        Barrier { topic, before: of_topic.map(|(at, known)| (*at, known.hearings)).collect(), goals: None }
    }

    /// Whether everything that stood in the topic at the barrier's moment has been applied. Never while a partition of
    /// it cannot be followed without a hole.
    pub fn is_past(&self, barrier: &mut Barrier) -> bool {
        let state = self.state();
        let topic = barrier.topic;
        if state.topics.get(&topic).is_none_or(|known| known.presence != Presence::There) {
            return false;
        }
        let of_topic = || state.partitions.iter().filter(|(at, _)| at.topic == topic);
        if of_topic().any(|(_, known)| known.is_gap()) {
            return false;
        }
        if barrier.goals.is_none() {
            let goals = of_topic().map(|(at, known)| {
                let before = barrier.before.get(at).copied().unwrap_or(0);
                let (log, _) = known.log.filter(|_| known.hearings >= before.saturating_add(HEARINGS))?;
                Some((*at, log.end))
            });
            barrier.goals = goals.collect();
        }
        let Some(goals) = &barrier.goals else { return false };
        goals.iter().all(|(at, end)| state.partitions.get(at).is_some_and(|known| known.next >= *end))
    }
}
