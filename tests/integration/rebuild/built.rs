//! Built from the center while the log goes on, an owner of the sink within the repeats' window, built anew while it
//! serves, renewed by whole days: always the same as a node that consumed everything, and the center is always right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edgefeed_storage::model::Id;
use serde_json::Value;

use super::{PARTITIONS, RATE, author, member, same};
use crate::center::log::{Ids, Source, USERS};
use crate::center::node::{Node, PATIENCE};
use crate::center::parts::{Parts, busy};
use crate::center::stage::{Member, Stage};
use crate::center::writer::Writer;
use crate::crash::dice::{Dice, times};
use crate::real::events::now_ms;
use crate::real::steps::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_from_the_center_is_the_same_as_one_that_consumed_everything() {
    let promise = "a node from the center is the same as one that consumed everything";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let seed = Dice::of_run().seed;
    println!("EDGEFEED_SEED={seed}");
    for ids in [Ids::Uuid, Ids::U64] {
        whole_life(&parts, ids, seed).await;
    }
}

async fn whole_life(parts: &Parts, ids: Ids, seed: u64) {
    let (events, changes) = (times("EDGEFEED_EVENTS", 6_000), times("EDGEFEED_CHANGES", 3_000));
    let stage = Stage::new(parts, "built", ids, PARTITIONS).await;
    let writer = Writer::start(Arc::clone(&stage.topics), author(ids, events, changes, seed), RATE);
    let readers: Vec<Id> = (0..USERS).map(|number| Id(writer.written().author.user(number))).collect();
    // One that consumes everything, and whose sink lags.
    let mut whole = member(&stage, 0).await;
    whole.node.settings.more.insert(("sink", "flush_ms"), "1500".to_owned());
    whole.node.start_ready().await;
    writer.allow(events + changes);
    writer.idle().await;
    // The log goes on while the other one is built: record time stands still, so repeats reach back over the cut.
    writer.allow((events + changes) / 4);
    let mut built = member(&stage, 1).await;
    let begun = Instant::now();
    let told = tokio::task::block_in_place(|| built.node.must(&["resync", "bootstrap", "--output", "json"]));
    println!("{ids:?}: built in {:?}: {}", begun.elapsed(), last_json(&told)["outcome"]["rows"]);
    assert!(built.node.store().join("epoch-1").is_dir() && !built.node.store().join("db").exists());
    built.node.start_ready().await;
    writer.idle().await;
    both_applied(&[&whole.node, &built.node], &writer).await;

    // Owner of the sink: what is repeated from before the cut must not land again.
    whole.leave().await;
    writer.allow((events + changes) / 8);
    writer.idle().await;
    stage.drained(&writer.ends()).await;
    assert_eq!(built.node.stalls().await, Vec::<String>::new());

    // Anew, while it serves and the log goes on.
    writer.allow((events + changes) / 8);
    let epochs = built_while_serving(&built, &readers, ids).await;
    assert_eq!(epochs, 2);
    let rows = built.node.metric("edgefeed_resync_rows_total").await;
    assert!(rows.iter().any(|(of, rows)| of.contains("table=") && *rows > 0.0), "{rows:?}");
    writer.idle().await;
    stage.drained(&writer.ends()).await;
    whole.node.start_ready().await;
    both_applied(&[&whole.node, &built.node], &writer).await;

    // Days that are over, base and own rows alike; twice, for the second time changes nothing. Not where the node was
    // built on the new day: of that, the center's part is not by days.
    let (well, told) = built.node.verb(&["resync", "refresh", "--all"]);
    assert!(!well && told.contains("not over yet"), "{told}");
    for of in [&["--all"][..], &["--all"], &[]] {
        let words = [&["resync", "refresh", "--output", "json"], of].concat();
        let told = tokio::task::block_in_place(|| whole.node.must(&words));
        let readers = last_json(&told)["outcome"]["readers"].as_u64().unwrap();
        assert_eq!(readers > 0, !of.is_empty(), "{told}");
    }
    for member in [&mut whole, &mut built] {
        member.leave().await;
    }
    let (log, now) = (writer.finish(), now_ms());
    stage.check(&log, &BTreeSet::new()).await;
    let (whole_store, whole_feed) = same::open(&whole.node.store(), ids, now);
    let (built_store, built_feed) = same::open(&built.node.store(), ids, now);
    same::facts(&whole_store, &built_store, &readers, now);
    let posts = same::feeds(&whole_feed, &built_feed, readers.iter().copied(), now);
    assert!(posts > USERS, "feeds of {posts} posts in all prove nothing");
    let oracle = same::oracle(ids, &log, now);
    assert!(!oracle.blocks().is_empty());
    crate::compare::feeds(&built_store, &built_feed, &oracle, readers.iter().copied(), now);
    stage.center.drop_database().await;
}

/// Orders a rebuild of a running node; feeds are answered all the while. The epoch it came to.
async fn built_while_serving(member: &Member, readers: &[Id], ids: Ids) -> u64 {
    let (over, node) = (Arc::new(AtomicBool::new(false)), &member.node);
    let (asked, answered) = {
        let asks = async {
            let mut pages = 0;
            while !over.load(Ordering::Acquire) {
                let reader = ids.text(readers[pages % readers.len()].0);
                let (status, page) = node.feed(&reader).await;
                assert_eq!(status, 200, "{page}");
                pages += 1;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            pages
        };
        let order = async {
            let mut verb = node.begin_verb(&["resync", "bootstrap", "--output", "json"]);
            while verb.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            over.store(true, Ordering::Release);
            let done = verb.wait_with_output().unwrap();
            assert!(done.status.success(), "{}", node.log());
            String::from_utf8(done.stdout).unwrap()
        };
        tokio::join!(asks, order)
    };
    println!("{asked} pages answered while it was built");
    assert!(asked > 3, "that is no proof of answering meanwhile");
    last_json(&answered)["outcome"]["epoch"].as_u64().unwrap()
}

/// Waits until all of these have applied everything written.
pub(super) async fn both_applied(nodes: &[&Node], writer: &Writer) {
    let ends: BTreeMap<(Source, u32), i64> = writer.ends();
    for node in nodes {
        let done = until(PATIENCE * 2, async || node.applied(&ends).await.then_some(())).await;
        assert!(done.is_some(), "not applied: {ends:?}\n{:?}", node.status().await);
    }
}

/// The JSON a verb printed, behind whatever it logged.
pub(super) fn last_json(told: &str) -> Value {
    let from = told.find("{\n").unwrap_or_else(|| panic!("no JSON: {told}"));
    let mut all = serde_json::Deserializer::from_str(&told[from..]).into_iter::<Value>();
    all.next().unwrap().unwrap()
}
