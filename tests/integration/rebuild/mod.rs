//! A node is cattle: built from the center, killed while it is built, left behind by Kafka, it ends as one that consumed
//! everything. The real binary, a real Kafka, the real ClickHouse engine.
#![allow(clippy::print_stdout, reason = "what was done is for whoever asks the harness to show it")]

mod built;
mod killed;
mod left_behind;
mod restored;
mod same;
mod world_m;

use std::time::Duration;

use crate::center::log::{Author, HOUR, Ids, MINUTE, Shape};
use crate::center::stage::{Member, Stage};
use crate::real::events::now_ms;

pub(crate) const PARTITIONS: u32 = 4;
/// Records a second while they come.
const RATE: f64 = 4_000.0;
/// What Kafka's retention is set to when it is to overtake somebody.
const RETENTION: Duration = Duration::from_secs(2);

/// A log of thirty hours, so that a day of arrival is over in it, with repeats and late events.
fn author(ids: Ids, events: usize, changes: usize, seed: u64) -> Author {
    let to_ms = now_ms();
    let (from_ms, memory_ms) = (to_ms - 30 * HOUR, 30 * MINUTE);
    Author::new(Shape { ids, partitions: PARTITIONS, events, changes, from_ms, to_ms, memory_ms, bad: true }, seed)
}

/// A node of the stage that remembers ids for as long as the oracle does, and reads the center in small parts.
async fn member(stage: &Stage, number: usize) -> Member {
    let mut member = stage.member(number).await;
    for (key, value) in [
        (("storage", "dedup_hours"), "1"),
        (("resync", "shard_rows"), "400"),
        // Told by the test, not by the clock.
        (("resync", "refresh"), "\"off\""),
    ] {
        member.node.settings.more.insert(key, value.to_owned());
    }
    member
}
