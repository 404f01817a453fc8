//! The settings of every insert: what makes a range land once, whatever the server's and the user's defaults are.

use std::time::Duration;

/// Defaults changed in 24.7, 26.2 and 26.3, so each is said. No setting here is younger than ClickHouse 24.8.
const INSERT: &[(&str, &str)] = &[
    // Rows are written when the answer comes, and one token is one insert.
    ("async_insert", "0"),
    // The token is looked at,
    ("insert_deduplicate", "1"),
    // in the views' targets too: an insert repeated after half of it went through is completed, not doubled.
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    // The status is sent when all is done, not when the first byte is.
    ("wait_end_of_query", "1"),
    // A view that fails fails the insert; the same token completes it later.
    ("materialized_views_ignore_errors", "0"),
    // Rows of a late phone may belong to any month; without this a batch of a hundred months fails for ever.
    ("max_partitions_per_insert_block", "0"),
    // More rows than an insert may have (`sink.flush_rows`): one insert is one block, all or nothing per partition.
    ("max_insert_block_size", "1048449"),
];

/// The settings of one insert; with a cluster it counts once a majority of the replicas has it.
pub(super) fn insert(cluster: &str, timeout: Duration) -> Vec<(&'static str, String)> {
    let mut settings: Vec<_> = INSERT.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    if !cluster.is_empty() {
        settings.push(("insert_quorum", "auto".to_owned()));
        // Several nodes insert into one table at a time.
        settings.push(("insert_quorum_parallel", "1".to_owned()));
        settings.push(("insert_quorum_timeout", timeout.as_millis().to_string()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_asked_for_a_quorum_and_a_single_server_is_not() {
        let asks = |cluster| insert(cluster, Duration::from_secs(20)).contains(&("insert_quorum", "auto".to_owned()));
        assert!(asks("main"));
        assert!(!asks(""));
    }
}
