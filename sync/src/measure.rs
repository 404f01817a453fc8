//! The numbers this crate counts, and what they mean.

use std::time::Duration;

use edgefeed_storage::Applied;
use edgefeed_storage::model::Topic;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};

/// Describes every metric of this crate to the installed recorder.
pub fn describe_metrics() {
    describe_counter!(
        "edgefeed_ingest_records_total",
        "Records read from Kafka, by topic and outcome (applied, repeat, stale, nothing, replayed, dead, forgotten)"
    );
    describe_counter!("edgefeed_dead_letters_total", "Records that could not be used, by topic and reason");
    describe_counter!("edgefeed_dedup_hits_total", "Events dropped because their id was known");
    describe_counter!("edgefeed_dedup_misses_total", "Events whose id was new");
    describe_counter!(
        "edgefeed_offsets_gap_total",
        "Partitions found to continue nothing this store holds, and not followed since"
    );
    describe_counter!("edgefeed_ingest_stalls_total", "Topics whose effects were stopped, by topic and reason");
    describe_gauge!(
        "edgefeed_ingest_lag_seconds",
        Unit::Seconds,
        "Age of the oldest partition's state, by topic; small and not growing when read to the end"
    );
    describe_gauge!(
        "edgefeed_ingest_lag_records",
        Unit::Count,
        "Offsets between the last applied record and the end of the log, by topic and partition"
    );
    describe_histogram!(
        "edgefeed_ingest_batch_duration_seconds",
        Unit::Seconds,
        "Time to apply one batch of records to the store"
    );
    describe_histogram!(
        "edgefeed_event_to_visible_seconds",
        Unit::Seconds,
        "Time from a record's Kafka time until readers see it, after the first catch-up"
    );
    describe_histogram!(
        "edgefeed_store_write_duration_seconds",
        Unit::Seconds,
        "Time RocksDB took for the one write of a batch"
    );
    describe_gauge!(
        "edgefeed_breaker_state",
        "Whether a dependency is asked, by dependency: 0 as usual (closed), 1 by a few probes (half-open), 2 not (open)"
    );
    describe_counter!(
        "edgefeed_breaker_transitions_total",
        "Changes of a breaker's state, by dependency and the state entered (closed, half_open, open)"
    );
    describe_sink();
    // There from the start, so that an alert on their rise has something to rise from.
    for name in [
        "edgefeed_offsets_gap_total",
        "edgefeed_dedup_hits_total",
        "edgefeed_dedup_misses_total",
        "edgefeed_sink_retries_total",
        "edgefeed_sink_token_replays_total",
    ] {
        counter!(name).increment(0);
    }
}

fn describe_sink() {
    describe_counter!("edgefeed_sink_rows_total", "Rows the center has acknowledged, by table");
    describe_counter!("edgefeed_sink_retries_total", "Inserts that failed and were tried again");
    describe_counter!(
        "edgefeed_sink_token_replays_total",
        "Inserts sent under a token that may have been sent before; the center keeps one copy"
    );
    describe_histogram!(
        "edgefeed_sink_insert_duration_seconds",
        Unit::Seconds,
        "Time of one insert, views included, failed ones too"
    );
    describe_gauge!(
        "edgefeed_sink_lag_seconds",
        Unit::Seconds,
        "Age of the oldest record of this node's share that the center has not acknowledged, by topic"
    );
    describe_gauge!(
        "edgefeed_sink_stalled",
        Unit::Count,
        "1 while partitions that go to a table stand still until somebody does something, by table and reason"
    );
}

/// Counts what one batch did.
pub(crate) fn applied(applied: &Applied, took: Duration) {
    histogram!("edgefeed_ingest_batch_duration_seconds").record(took.as_secs_f64());
    histogram!("edgefeed_store_write_duration_seconds").record(applied.write.as_secs_f64());
    let outcomes = [
        ("applied", &applied.applied),
        ("stale", &applied.stale),
        ("nothing", &applied.nothing),
        ("replayed", &applied.replayed),
        ("forgotten", &applied.forgotten),
    ];
    for (outcome, counts) in outcomes {
        for (topic, count) in counts {
            records(*topic, outcome, *count);
        }
    }
    for ((topic, reason), count) in &applied.dead {
        records(*topic, "dead", *count);
        counter!("edgefeed_dead_letters_total", "topic" => topic.name(), "reason" => reason.name()).increment(*count);
    }
    if applied.dedup_hits > 0 {
        counter!("edgefeed_ingest_records_total", "topic" => Topic::Events.name(), "outcome" => "repeat")
            .increment(applied.dedup_hits);
    }
    counter!("edgefeed_dedup_hits_total").increment(applied.dedup_hits);
    counter!("edgefeed_dedup_misses_total").increment(applied.dedup_misses);
    for stall in &applied.stalls {
        let (topic, reason) = (stall.at.topic.name(), stall.reason.name());
        counter!("edgefeed_ingest_stalls_total", "topic" => topic, "reason" => reason).increment(1);
    }
}

fn records(topic: Topic, outcome: &'static str, count: u64) {
    counter!("edgefeed_ingest_records_total", "topic" => topic.name(), "outcome" => outcome).increment(count);
}

/// Notes how long records took from Kafka to readers, in milliseconds. Clocks that run apart count as no time.
pub(crate) fn visible(ages_ms: impl Iterator<Item = i64>) {
    let histogram = histogram!("edgefeed_event_to_visible_seconds");
    for age_ms in ages_ms {
        histogram.record(Duration::from_millis(age_ms.try_into().unwrap_or(0)).as_secs_f64());
    }
}
