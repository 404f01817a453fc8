//! Where partitions end, from the Kafka library's statistics.
//!
//! The library's own "end of partition" event, as the binding hands it out, names the partition but not the topic,
//! and no call tells the offset of an end behind transaction markers. The statistics carry both.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

/// A partition that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionEnd {
    /// Kafka's name of the topic.
    pub(crate) topic: String,
    pub(crate) partition: u32,
    /// The offset the next record will have, or a later one.
    pub(crate) offset: i64,
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow, default)]
    topics: HashMap<Cow<'a, str>, TopicReport<'a>>,
}

#[derive(Deserialize)]
struct TopicReport<'a> {
    #[serde(borrow, default)]
    partitions: HashMap<Cow<'a, str>, PartitionReport<'a>>,
}

#[derive(Deserialize)]
struct PartitionReport<'a> {
    partition: i64,
    /// Records fetched and not yet handed out; with a forwarded queue, those of all partitions.
    fetchq_cnt: i64,
    #[serde(borrow)]
    fetch_state: Cow<'a, str>,
    next_offset: i64,
    eof_offset: i64,
}

/// The partitions that are being fetched, have met their end, and of which nothing fetched is left to hand out.
pub(crate) fn ends(json: &[u8]) -> Vec<PartitionEnd> {
    let report: Report<'_> = match serde_json::from_slice(json) {
        Ok(report) => report,
        Err(error) => {
            tracing::debug!("unreadable statistics of the Kafka library: {error}");
            return Vec::new();
        }
    };
    let mut ends = Vec::new();
    for (name, topic) in report.topics {
        for partition in topic.partitions.into_values() {
            let at_end = partition.fetch_state == "active"
                && partition.fetchq_cnt == 0
                && partition.eof_offset >= 0
                && partition.eof_offset == partition.next_offset;
            if let (true, Ok(number)) = (at_end, u32::try_from(partition.partition)) {
                ends.push(PartitionEnd { topic: name.to_string(), partition: number, offset: partition.eof_offset });
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(partition: i32, queued: i32, state: &str, next: i64, eof: i64) -> String {
        format!(
            r#"{{"name":"c","topics":{{"cdc.posts":{{"topic":"cdc.posts","partitions":{{"{partition}":{{"partition":{partition},
            "fetchq_cnt":{queued},"fetch_state":"{state}","next_offset":{next},"app_offset":9,"eof_offset":{eof}}}}}}}}}}}"#
        )
    }

    #[test]
    fn an_end_counts_once_everything_before_it_was_handed_out() {
        let end = PartitionEnd { topic: "cdc.posts".to_owned(), partition: 3, offset: 12 };
        assert_eq!(ends(report(3, 0, "active", 12, 12).as_bytes()), [end]);
        for other in [
            report(3, 1, "active", 12, 12),
            report(3, 0, "stopped", 12, 12),
            report(3, 0, "active", 13, 12),
            report(3, 0, "active", -1001, -1001),
            report(-1, 0, "active", 12, 12),
        ] {
            assert_eq!(ends(other.as_bytes()), [], "{other}");
        }
        assert_eq!(ends(b"{"), []);
    }
}
