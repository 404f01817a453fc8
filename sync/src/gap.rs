//! Telling of a gap: to the log, to the metrics, to whoever asks.

use edgefeed_storage::model::TopicPartition;
use metrics::counter;

use crate::lag::Lag;
use crate::start::Gap;

/// Marks a partition as not followed, and says so.
pub(crate) fn report(lag: &Lag, at: TopicPartition, gap: Gap) {
    counter!("edgefeed_offsets_gap_total").increment(1);
    tracing::error!(
        topic = at.topic.name(),
        partition = at.partition,
        reason = ?gap.reason,
        stored_offset = gap.stored_offset,
        log_start = gap.log_start,
        log_end = gap.log_end,
        "partition not followed: Kafka's log does not continue what this store holds; resync this node"
    );
    lag.gap(at, gap);
}
