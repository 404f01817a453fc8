//! What stands still and why: for the metrics, the log, `/status` and `edgefeed sink status`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use edgefeed_storage::model::TopicPartition;
use metrics::gauge;

use super::status::Stalled;
use crate::center::Table;

/// The stalls of this node's share. Bounded by the partitions.
#[derive(Debug, Default)]
pub(crate) struct Board {
    stalls: Mutex<BTreeMap<TopicPartition, (Table, &'static str, String)>>,
}

impl Board {
    /// Notes that a partition does not go on by itself. Said once for each reason.
    pub(crate) fn stall(&self, at: TopicPartition, table: Table, reason: &'static str, detail: &str) {
        let before = self.stalls().insert(at, (table, reason, detail.to_owned()));
        if before.as_ref().is_none_or(|(_, known, _)| *known != reason) {
            tracing::error!(
                topic = at.topic.name(),
                partition = at.partition,
                table = table.name(),
                reason,
                "the sink stands still, nothing is lost: {detail}; {}",
                mend(reason)
            );
        }
        if let Some((table, known, _)) = before.filter(|(_, known, _)| *known != reason) {
            self.show(table, known);
        }
        self.show(table, reason);
    }

    /// Notes that a partition goes on.
    pub(crate) fn clear(&self, at: TopicPartition) {
        let before = self.stalls().remove(&at);
        if let Some((table, reason, _)) = before {
            tracing::info!(topic = at.topic.name(), partition = at.partition, reason, "the sink goes on");
            self.show(table, reason);
        }
    }

    /// Forgets everything: these partitions are no longer this node's to tell about.
    pub(crate) fn forget(&self) {
        let before = std::mem::take(&mut *self.stalls());
        for (table, reason, _) in before.into_values() {
            self.show(table, reason);
        }
    }

    /// Why a partition stands still, if it does.
    pub(crate) fn stalled(&self, at: TopicPartition) -> Option<Stalled> {
        self.stalls().get(&at).map(|(_, reason, detail)| Stalled {
            reason: (*reason).to_owned(),
            detail: detail.clone(),
            mend: mend(reason).to_owned(),
        })
    }

    fn show(&self, table: Table, reason: &'static str) {
        let standing = self.stalls().values().any(|(other, known, _)| *other == table && *known == reason);
        gauge!("edgefeed_sink_stalled", "table" => table.name(), "reason" => reason).set(f64::from(u8::from(standing)));
    }

    fn stalls(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, (Table, &'static str, String)>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody can do about it.
pub(crate) fn mend(reason: &str) -> &'static str {
    match reason {
        "no_commit" => "the group has no offset and the center holds rows: edgefeed sink resume --from center",
        "foreign_commit" => "somebody else moved the group's offset: edgefeed sink resume --from center",
        "range_lost" => {
            "Kafka no longer holds what was to be written: edgefeed sink resume --from earliest --accept-reset, then \
             edgefeed resync repair"
        }
        "beyond_log_end" => "the topic was made anew: edgefeed sink resume --from earliest --accept-reset",
        "preflight" | "schema" => "edgefeed migrate clickhouse, or mend the table named; the sink goes on by itself",
        "auth" => "mend clickhouse.user, its password or its grants; the sink goes on by itself",
        "marks_incomplete" => {
            "this node's store does not know the repeats of that stretch: let another node of the group write it, or \
             resync this one"
        }
        "bad_records" => {
            "most records are bad: mend their writer, then edgefeed dlq accept TOPIC-PARTITION --through OFFSET"
        }
        "dead_letter_topic" => "let this node create or write the dead-letter topic; the sink goes on by itself",
        "following" => "this node does not follow the partition (see ingest in /status)",
        _ => "see the log; the sink tries on by itself",
    }
}
