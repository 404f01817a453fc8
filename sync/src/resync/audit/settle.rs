//! Waiting until what one side had is also what the other had the chance to have.

use std::time::{Duration, Instant};

use edgefeed_storage::model::Topic;

use super::{Audit, Ground, Result, blocking};
use crate::sink::Group;

/// Between two questions to the brokers.
const LOOK: Duration = Duration::from_millis(250);

impl Audit {
    /// Waits until the sink has committed everything of a topic that this node has applied by now, and tells whether it
    /// did within `patience`.
    pub(super) async fn passed(&self, ground: &Ground, topic: Topic) -> Result<bool> {
        let (kafka, sink, patience) = (self.kafka.clone(), self.sink.clone(), self.patience);
        let mut due = Vec::new();
        for at in ground.partitions.iter().filter(|at| at.topic == topic) {
            if let Some(position) = self.store.position(*at) {
                due.push((*at, position.next_offset));
            }
        }
        blocking(move || {
            let group = Group::connect(&kafka, &sink)?;
            let partitions: Vec<_> = due.iter().map(|(at, _)| *at).collect();
            let deadline = Instant::now() + patience;
            loop {
                let commits = group.committed(&partitions)?;
                // A partition without a commit and without records has nothing to pass.
                let passed = |(at, next): &(_, i64)| match commits.get(at) {
                    Some(commit) => commit.offset >= *next,
                    None => *next == 0,
                };
                if due.iter().all(passed) {
                    return Ok(true);
                }
                if Instant::now() >= deadline {
                    return Ok(false);
                }
                std::thread::sleep(LOOK);
            }
        })
        .await
    }
}
