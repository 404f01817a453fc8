//! Whatever happens on the way, the center is the log: every event once, every sum right, every row its latest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::faults::{Fault, Ordeal, plan};
use super::log::{Author, DAY, HOUR, Ids, Shape};
use super::parts::{Parts, busy};
use super::stage::Stage;
use super::writer::Writer;
use crate::crash::dice::{Dice, times};
use crate::real::events::now_ms;

const PARTITIONS: u32 = 4;
/// Records a second while they come.
const RATE: f64 = 4_000.0;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_at_the_center_once_through_kills_rebalances_resets_upgrades_and_zombies() {
    let promise = "every event is at the center once through kills, rebalances, resets, upgrades and zombies";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let mut dice = Dice::of_run();
    let seed = dice.seed;
    let (events, changes) = (times("EDGEFEED_EVENTS", 20_000), times("EDGEFEED_CHANGES", 3_000));
    let faults = plan(&mut dice, times("EDGEFEED_FAULTS", Fault::ALL.len()));
    let ids = if seed.is_multiple_of(2) { Ids::U64 } else { Ids::Uuid };
    println!("EDGEFEED_SEED={seed}: {events} events, {changes} changes, {ids:?}, {faults:?}");
    let begun = Instant::now();

    let stage = Stage::new(&parts, "once", ids, PARTITIONS).await;
    let to_ms = now_ms();
    let shape = Shape {
        ids,
        partitions: PARTITIONS,
        events,
        changes,
        from_ms: to_ms - 6 * HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, seed), RATE);
    let mut members = [stage.member(0).await, stage.member(1).await];
    // One member the broker knows again after a restart, in half of the runs.
    let known = dice.below(2) == 0;
    if known {
        members[0].node.settings.more.insert(("node", "name"), "\"known\"".to_owned());
    }
    for member in &mut members {
        member.node.start();
    }
    for member in &mut members {
        member.node.ready().await;
    }
    let mut ordeal = Ordeal {
        stage: &stage,
        writer: &writer,
        dice,
        members,
        third: stage.member(2).await,
        slice: (events + changes) / (faults.len() + 1),
        excused: BTreeSet::new(),
        resets_counted: 0,
        took: BTreeMap::new(),
    };
    for fault in &faults {
        ordeal.suffer(*fault).await;
    }
    // What is left, in peace.
    writer.allow((events + changes).saturating_sub(writer.written().log.len()));
    writer.idle().await;
    let quiet = Instant::now();
    stage.drained(&writer.ends()).await;
    let drained = quiet.elapsed();
    for member in &mut ordeal.members {
        member.node.must_run();
        assert_eq!(member.node.stalls().await, Vec::<String>::new(), "trouble that passes is no stall");
    }

    let Ordeal { excused, resets_counted, took, members: _running, .. } = ordeal;
    let log = writer.finish();
    stage.check(&log, &excused).await;
    let resets = faults.iter().filter(|fault| fault.is_reset()).count();
    assert_eq!(resets_counted, resets, "each reset after an insert was applied shows in the node's own count");
    stage.center.drop_database().await;
    let (tokens, repeated) = stage.control.seen(|seen| (seen.tokens.len(), seen.repeated()));
    let told = format!(
        "exactly once (EDGEFEED_SEED={seed}, {ids:?}, static member {known}): {} records, {} faults, {resets} of them resets after an insert was \
         applied, {tokens} inserts, {repeated} of them sent more than once; last ones in {drained:?}; {:?} in all; {:?}\n",
        log.len(),
        faults.len(),
        begun.elapsed(),
        rounded(&took),
    );
    drop(std::io::stderr().write_all(told.as_bytes()));
}

/// Seconds of each kind of fault.
fn rounded(took: &BTreeMap<Fault, Vec<Duration>>) -> BTreeMap<String, Vec<f64>> {
    let seconds = |took: &Duration| (took.as_secs_f64() * 10.0).round() / 10.0;
    took.iter().map(|(fault, took)| (format!("{fault:?}"), took.iter().map(seconds).collect())).collect()
}
