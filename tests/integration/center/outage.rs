//! ClickHouse away: readers notice at most that histories are old, the store goes on as before, and nothing is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::{Author, HOUR, Ids, MINUTE, Shape, USERS};
use super::node::{Node, PATIENCE};
use super::parts::{Parts, quiet};
use super::proxy::Mode;
use super::stage::Stage;
use super::writer::Writer;
use crate::crash::dice::{Dice, times};
use crate::real::events::now_ms;
use crate::real::steps::until;

const PARTITIONS: u32 = 3;
/// Records a second, before the outage and while it lasts.
const LOAD: usize = 1_000;
/// Before it, and after it.
const CALM: Duration = Duration::from_secs(3);
/// How long the sink may take for what it has missed.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// More than this, and twice as slow as before, and materializing has been slowed.
const NOTICED: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn with_clickhouse_away_feeds_and_the_store_go_on_and_the_center_catches_up() {
    let promise = "with ClickHouse away feeds and the store go on and the center catches up";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = quiet().await;
    let seconds = times("EDGEFEED_OUTAGE_S", 6);
    let mut dice = Dice::of_run();
    let stage = Stage::new(&parts, "away", Ids::U64, PARTITIONS).await;
    let total = LOAD * (seconds + 2 * CALM.as_secs() as usize);
    let to_ms = now_ms();
    // Three hours of record time in the outage, whatever the clock says.
    let span = 3 * HOUR * total as i64 / (LOAD * seconds) as i64;
    let shape = Shape {
        ids: Ids::U64,
        partitions: PARTITIONS,
        events: total * 9 / 10,
        changes: total / 10,
        from_ms: to_ms - span,
        to_ms,
        // Ids are remembered for an hour only: repeats must have been told apart by then, center or no center.
        memory_ms: 50 * MINUTE,
        bad: true,
    };
    // Each tenth of a second's records at once, and the rest of the tenth to look.
    let writer = Writer::start(Arc::clone(&stage.topics), Author::new(shape, dice.seed), 20.0 * LOAD as f64);
    let mut member = stage.member(0).await;
    member.node.settings.more.insert(("storage", "dedup_hours"), "1".to_owned());
    member.node.start_ready().await;

    let before = watch(&member.node, &writer, &mut dice, CALM).await;
    stage.drained(&writer.ends()).await;
    member.proxy.set(Mode::Refusing);
    let away = writer.written().author.time_ms();
    let half = Duration::from_secs(seconds as u64) / 2;
    let refused = watch(&member.node, &writer, &mut dice, half).await;
    member.proxy.set(Mode::Silent);
    let silent = watch(&member.node, &writer, &mut dice, half).await;
    let hours = (writer.written().author.time_ms() - away) as f64 / HOUR as f64;
    assert!(hours > 2.5, "{hours} hours of record time");
    assert!(!stage.behind(&writer.ends()).is_empty(), "the center has really been away");
    assert_eq!(member.node.stalls().await, Vec::<String>::new(), "an outage is no stall");

    member.proxy.set(Mode::There);
    let back = Instant::now();
    stage.drained_within(BACK_WITHIN, &writer.ends()).await;
    let caught_up = back.elapsed();
    let after = watch(&member.node, &writer, &mut dice, CALM).await;
    stage.drained(&writer.ends()).await;
    eprintln!(
        "ClickHouse away for {seconds} s and {hours:.1} h of record time: feeds {} before, {} while, all 200; a record \
         applied within (median) {:?} before, {:?} refused, {:?} silent, {:?} after; caught up in {caught_up:?}",
        before.feeds,
        refused.feeds + silent.feeds,
        before.median(),
        refused.median(),
        silent.median(),
        after.median(),
    );
    for (how, watched) in [("refusing", &refused), ("silent", &silent)] {
        let slow = watched.median() > NOTICED && watched.median() > 2 * before.median();
        assert!(!slow, "{how}: applied within {:?}, before {:?}", watched.median(), before.median());
    }
    let log = writer.finish();
    stage.check(&log, &BTreeSet::new()).await;
    stage.center.drop_database().await;
}

/// What was seen while records came.
#[derive(Default)]
struct Watched {
    feeds: usize,
    applied: Vec<Duration>,
}

impl Watched {
    fn median(&self) -> Duration {
        let mut applied = self.applied.clone();
        applied.sort_unstable();
        applied[applied.len() / 2]
    }
}

/// Writes at the load, asks for feeds, and measures how long what stands in Kafka takes to the store.
async fn watch(node: &Node, writer: &Writer, dice: &mut Dice, during: Duration) -> Watched {
    let (begun, mut watched) = (Instant::now(), Watched::default());
    let tenths = u32::try_from(during.as_millis() / 100).unwrap();
    for tenth in 1..=tenths {
        writer.allow(LOAD / 10);
        writer.idle().await;
        let (ends, written) = (writer.ends(), Instant::now());
        let applied = until(PATIENCE, async || node.applied(&ends).await.then_some(())).await;
        assert!(applied.is_some(), "nothing is applied any more");
        watched.applied.push(written.elapsed());
        for _ in 0..3 {
            let user = writer.written().author.user(dice.below(USERS)).to_string();
            let (status, body) = node.feed(&user).await;
            assert_eq!(status, 200, "a feed while ClickHouse is away: {body}");
            let degraded = body["degraded"].as_array().unwrap();
            assert!(degraded.iter().all(|what| what == "affinity_stale"), "no more than that: {body}");
            watched.feeds += 1;
        }
        tokio::time::sleep_until((begun + tenth * Duration::from_millis(100)).into()).await;
    }
    let took = begun.elapsed();
    assert!(took < 2 * during + CALM, "{LOAD} records a second for {during:?} took {took:?}");
    watched
}
