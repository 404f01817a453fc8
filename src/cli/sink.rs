//! `edgefeed sink`: how the way to the center stands, and the order to go on.

use edgefeed_sync::sink::{From, PartitionStatus, Resume, ResumeError, Resumed, SinkStatus};

use super::args::{Common, ResumeArgs, SinkVerb};
use super::live;
use super::table::{table, tame};
use super::{out, runtime};
use crate::admin::SinkDoor;
use crate::config::Config;
use crate::dead_letters::partition_of;
use crate::failure::Failure;

pub(super) fn run(verb: SinkVerb) -> Result<(), Failure> {
    match verb {
        SinkVerb::Status(args) => {
            let config = args.common.sources.load()?;
            let status = runtime()?.block_on(status(&config))?;
            out::shown(args.common.output, &status, status_text)
        }
        SinkVerb::Resume(args) => resume(args),
    }
}

fn resume(args: ResumeArgs) -> Result<(), Failure> {
    let ResumeArgs { from, accept_reset, partition, common: Common { sources, output } } = args;
    let mut order = Resume { from, accept_reset, only: None };
    let config = sources.load()?;
    if let Some(partition) = partition {
        let topics = &config.kafka.topics;
        let (topic, number) = partition_of(topics, &partition).map_err(|error| Failure::usage(error.to_string()))?;
        order.only = topics.name_of(topic).map(|name| (name.to_owned(), number));
    }
    order.check().map_err(Failure::usage)?;
    let resumed = runtime()?.block_on(go_on(&config, order))?;
    out::shown(output, resumed.as_slice(), resumed_text)
}

async fn status(config: &Config) -> Result<SinkStatus, Failure> {
    if let Some(node) = live::running(config).await? {
        return node.get("/admin/sink").await;
    }
    let door = SinkDoor::outside(config);
    match tokio::task::spawn_blocking(move || (door.status)()).await {
        Ok(status) => status.map_err(|error| Failure::failed(error.to_string())),
        Err(_) => Err(Failure::failed("asking the brokers panicked; this is a bug")),
    }
}

async fn go_on(config: &Config, order: Resume) -> Result<Vec<Resumed>, Failure> {
    if let Some(node) = live::running(config).await? {
        return node.post("/admin/sink/resume", &order).await;
    }
    let door = SinkDoor::outside(config);
    match tokio::task::spawn_blocking(move || (door.resume)(&order)).await {
        Ok(Ok(resumed)) => Ok(resumed),
        Ok(Err(ResumeError::Order(message) | ResumeError::Failed(message))) => Err(Failure::failed(message)),
        Err(_) => Err(Failure::failed("resuming panicked; this is a bug")),
    }
}

/// Every partition in a table, then why some wait, and what to do.
fn status_text(status: &SinkStatus) -> String {
    let head = ["PARTITION", "HERE", "COMMITTED", "PENDING", "EPOCH", "LOG START", "LOG END", "LAG", "STATE"];
    let mut text = format!("group {}, cluster {}\n", status.group, status.cluster);
    text.push_str(&table(head, status.partitions.iter().map(row)));
    for partition in &status.partitions {
        if let Some(stalled) = &partition.stalled {
            let at = format!("{}-{}", partition.topic, partition.partition);
            text.push_str(&format!("{at}: {}: {}; {}\n", stalled.reason, tame(&stalled.detail), stalled.mend));
        }
    }
    text
}

fn row(partition: &PartitionStatus) -> [String; 9] {
    let state = match (&partition.stalled, partition.committed) {
        (Some(stalled), _) => stalled.reason.clone(),
        (None, None) => "not begun".to_owned(),
        (None, Some(_)) => "ok".to_owned(),
    };
    [
        format!("{}-{}", partition.topic, partition.partition),
        if partition.owner { "yes" } else { "no" }.to_owned(),
        number(partition.committed),
        number(partition.pending_through),
        number(partition.epoch),
        number(partition.log_start),
        number(partition.log_end),
        number(partition.lag_records),
        state,
    ]
}

fn number(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn resumed_text(resumed: &[Resumed]) -> String {
    let rows = resumed.iter().map(|at| {
        let partition = format!("{}-{}", at.topic, at.partition);
        [partition, at.from_offset.to_string(), number(at.pending_through), at.epoch.to_string()]
    });
    table(["PARTITION", "FROM", "SENT AGAIN THROUGH", "EPOCH"], rows)
}

/// `center`, `earliest`, or an offset.
pub(super) fn from(text: &str) -> Result<From, String> {
    match text {
        "center" => Ok(From::Center),
        "earliest" => Ok(From::Earliest),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(From::Offset).map_err(|_| "the offset is too large".to_owned())
        }
        _ => Err("write center, earliest or an offset".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use edgefeed_sync::sink::Stalled;

    use super::*;

    #[test]
    fn the_table_has_every_partition_and_says_below_why_some_wait() {
        let calm = PartitionStatus {
            topic: "events".to_owned(),
            partition: 0,
            owner: true,
            committed: Some(12),
            pending_through: None,
            epoch: Some(0),
            log_start: Some(0),
            log_end: Some(20),
            lag_records: Some(8),
            stalled: None,
        };
        let stalled = Stalled { reason: "no_commit".to_owned(), detail: "why".to_owned(), mend: "do this".to_owned() };
        let waits = PartitionStatus {
            partition: 11,
            owner: false,
            committed: None,
            epoch: None,
            lag_records: None,
            stalled: Some(stalled),
            ..calm.clone()
        };
        let status = SinkStatus { group: "g".to_owned(), cluster: "c".to_owned(), partitions: vec![calm, waits] };
        let expected = "\
group g, cluster c
PARTITION  HERE  COMMITTED  PENDING  EPOCH  LOG START  LOG END  LAG  STATE
events-0   yes   12         -        0      0          20       8    ok
events-11  no    -          -        -      0          20       -    no_commit
events-11: no_commit: why; do this
";
        assert_eq!(status_text(&status), expected);
    }
}
