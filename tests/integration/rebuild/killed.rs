//! `kill -9` while a node is built: it goes on where it was, and comes out the same.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::model::Id;

use super::built::last_json;
use super::{PARTITIONS, RATE, author, member, same};
use crate::center::log::{Ids, USERS};
use crate::center::parts::{Parts, busy};
use crate::center::stage::Stage;
use crate::center::writer::Writer;
use crate::crash::dice::{Dice, times};
use crate::real::events::now_ms;

/// Rows a second: slow enough that all the kills together leave work to do. Else the last run may be a new one.
const ROWS_PER_S: &str = "1000";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_that_is_killed_ten_times_goes_on_and_comes_out_the_same() {
    let promise = "a rebuild that is killed ten times goes on and comes out the same";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let mut dice = Dice::of_run();
    println!("EDGEFEED_SEED={}", dice.seed);
    let ids = if dice.seed.is_multiple_of(2) { Ids::Uuid } else { Ids::U64 };
    let (events, changes) = (times("EDGEFEED_EVENTS", 8_000), times("EDGEFEED_CHANGES", 4_000));
    let stage = Stage::new(&parts, "killed", ids, PARTITIONS).await;
    let writer = Writer::start(Arc::clone(&stage.topics), author(ids, events, changes, dice.seed), RATE);
    let readers: Vec<Id> = (0..USERS).map(|number| Id(writer.written().author.user(number))).collect();
    let mut whole = member(&stage, 0).await;
    whole.node.start_ready().await;
    writer.allow(events + changes);
    writer.idle().await;
    stage.drained(&writer.ends()).await;

    let mut killed = member(&stage, 1).await;
    killed.node.settings.more.insert(("resync", "max_rows_per_s"), ROWS_PER_S.to_owned());
    let mut met = 0;
    for _ in 0..times("EDGEFEED_REBUILD_KILLS", 10) {
        let mut verb = killed.node.begin_verb(&["resync", "bootstrap"]);
        tokio::time::sleep(Duration::from_millis(dice.between(200, 1_500) as u64)).await;
        if verb.try_wait().unwrap().is_none() {
            met += 1;
        }
        drop(verb.kill());
        verb.wait().unwrap();
    }
    killed.node.settings.more.remove(&("resync", "max_rows_per_s"));
    let told = tokio::task::block_in_place(|| killed.node.must(&["resync", "bootstrap", "--output", "json"]));
    let outcome = &last_json(&told)["outcome"];
    println!("{met} kills met a rebuild under way; the last run: {outcome}");
    assert!(met > 0 && outcome["resumed"] == true, "no kill met a rebuild: {outcome}");
    killed.node.start_ready().await;
    super::built::both_applied(&[&whole.node, &killed.node], &writer).await;
    for member in [&mut whole, &mut killed] {
        member.leave().await;
    }
    let (log, now) = (writer.finish(), now_ms());
    let (whole_store, whole_feed) = same::open(&whole.node.store(), ids, now);
    let (killed_store, killed_feed) = same::open(&killed.node.store(), ids, now);
    same::facts(&whole_store, &killed_store, &readers, now);
    same::feeds(&whole_feed, &killed_feed, readers.iter().copied(), now);
    let oracle = same::oracle(ids, &log, now);
    crate::compare::feeds(&killed_store, &killed_feed, &oracle, readers.iter().copied(), now);
    stage.center.drop_database().await;
}
