//! Kafka's retention overtakes nodes that were stopped, and there is a backup of a peer behind it: a node restores it by
//! itself; where it is damaged, it is refused by name and something else is chosen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgefeed_storage::model::Id;
use serde_json::Value;

use super::built::{both_applied, last_json};
use super::{PARTITIONS, RATE, RETENTION, author, member, same};
use crate::center::log::{Ids, USERS};
use crate::center::node::{Node, PATIENCE};
use crate::center::parts::{Parts, busy};
use crate::center::stage::{Member, Stage};
use crate::center::writer::Writer;
use crate::crash::dice::{Dice, times};
use crate::crash::files;
use crate::real::events::now_ms;
use crate::real::steps::until;

/// Nobody who is in the log.
const STRANGER: u128 = 77;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_beyond_kafkas_retention_restores_a_backup_by_itself_and_refuses_a_damaged_one() {
    let promise = "a node beyond Kafka's retention restores a backup by itself and refuses a damaged one";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let seed = Dice::of_run().seed;
    println!("EDGEFEED_SEED={seed}");
    let ids = if seed.is_multiple_of(2) { Ids::Uuid } else { Ids::U64 };
    let (events, changes) = (times("EDGEFEED_EVENTS", 6_000), times("EDGEFEED_CHANGES", 3_000));
    let stage = Stage::new(&parts, "restored", ids, PARTITIONS).await;
    let writer = Writer::start(Arc::clone(&stage.topics), author(ids, events, changes, seed), RATE);
    let readers: Vec<Id> = (0..USERS).map(|number| Id(writer.written().author.user(number))).collect();
    let depots = tempfile::tempdir().unwrap();
    let (depot, damaged) = (depots.path().join("well"), depots.path().join("damaged"));
    let mut whole = backed_up(&stage, 0, &depot).await;
    let mut slept = backed_up(&stage, 1, &depot).await;
    let mut cheated = backed_up(&stage, 2, &damaged).await;
    let mut alone = backed_up(&stage, 3, &damaged).await;
    for member in [&mut slept, &mut cheated, &mut alone] {
        // Partitions of a member that sleeps would wait for it.
        member.node.settings.roles = r#"["serve"]"#;
    }
    for member in [&mut slept, &mut alone] {
        member.node.settings.url = String::new();
    }
    for member in [&mut whole, &mut slept, &mut cheated, &mut alone] {
        member.node.start_ready().await;
    }
    let part = (events + changes) / 4;
    let write = async |more| {
        writer.allow(more);
        writer.idle().await;
    };
    write(part).await;
    both_applied(&[&whole.node, &slept.node, &cheated.node, &alone.node], &writer).await;
    // The first one is beyond retention when it is wanted.
    let early = create(&whole.node);
    slept.node.must(&["forget", &ids.text(STRANGER)]);
    for member in [&mut slept, &mut cheated, &mut alone] {
        member.leave().await;
    }
    write(part).await;
    stage.drained(&writer.ends()).await;
    stage.topics.expire(RETENTION);
    stage.topics.keep();
    write(part).await;
    both_applied(&[&whole.node], &writer).await;
    let late = create(&whole.node);
    files::copy(&depot, &damaged);
    let bad = flip_a_byte(&damaged, &late, &early);
    write(part).await;

    // There is no center for this one, and it needs none. What others were killed over is in nobody's way.
    for litter in ["restoring/db", "epoch-1/db"] {
        let litter = slept.node.store().join(litter);
        std::fs::create_dir_all(&litter).unwrap();
        std::fs::write(litter.join("CURRENT"), "half of it").unwrap();
    }
    slept.node.start();
    let status = settled(&slept.node, "restore", |status| status["resync"]["outcome"]["epoch"] == 1).await;
    assert_eq!(status["resync"]["outcome"]["backup"], late["id"], "{status:#}");
    assert_eq!((&status["resync"]["job"], &status["resync"]["outcome"]["node"]), (&"restore".into(), &"n0".into()));
    let facts = &status["rejoin"]["facts"]["checkpoint"];
    assert_eq!((&facts["id"], &facts["continued"]), (&late["id"], &true.into()), "{status:#}");
    assert!(
        slept.node.log().contains("GAP") && told(&slept.node, late["id"].as_str().unwrap()),
        "{}",
        slept.node.log()
    );
    let done = slept.node.metric("edgefeed_job_last_success_timestamp_seconds").await;
    assert!(done.iter().any(|(labels, at)| labels.contains("\"restore\"") && *at > 0.0), "{done:?}");
    assert!(!slept.node.store().join("db").exists() && !slept.node.store().join("restoring").exists());

    // Of these two, one has a center.
    cheated.node.start();
    let status = settled(&cheated.node, "bootstrap", |status| status["resync"]["outcome"]["epoch"] == 1).await;
    refused(&cheated.node, &status, &late, &bad);
    alone.node.start();
    let status = settled(&alone.node, "gap", |_| true).await;
    refused(&alone.node, &status, &late, &bad);
    assert!(!alone.node.store().join("epoch-1").exists() && alone.node.store().join("db").exists());

    both_applied(&[&whole.node, &slept.node, &cheated.node], &writer).await;
    // What it started from is what it starts from.
    slept.leave().await;
    slept.node.start_ready().await;
    for member in [&mut whole, &mut slept, &mut cheated, &mut alone] {
        member.leave().await;
    }
    let (log, now) = (writer.finish(), now_ms());
    let (whole_store, whole_feed) = same::open(&whole.node.store(), ids, now);
    let oracle = same::oracle(ids, &log, now);
    for member in [&slept, &cheated] {
        let (store, feed) = same::open(&member.node.store(), ids, now);
        same::facts(&whole_store, &store, &readers, now);
        same::feeds(&whole_feed, &feed, readers.iter().copied(), now);
        crate::compare::feeds(&store, &feed, &oracle, readers.iter().copied(), now);
        let word = store.forgotten(Id(STRANGER)).unwrap();
        assert_eq!(word.is_some(), member.number == 1, "the word of its own holds in what came from elsewhere");
        if member.number == 1 {
            assert_ne!(store.identity().unwrap(), whole_store.identity().unwrap(), "it is no twin of its peer");
        }
    }
    stage.center.drop_database().await;
}

/// A node with a name and a place for backups.
async fn backed_up(stage: &Stage, number: usize, depot: &Path) -> Member {
    let mut member = member(stage, number).await;
    member.node.settings.more.insert(("node", "name"), format!("\"n{number}\""));
    member.node.settings.more.insert(("backup", "url"), format!("\"{}\"", depot.display()));
    member
}

fn create(node: &Node) -> Value {
    let told = tokio::task::block_in_place(|| node.must(&["backup", "create", "--output", "json"]));
    last_json(&told)["backup"].clone()
}

/// Flips a byte of a file that the later backup has and the earlier one has not; tells where the file lies.
fn flip_a_byte(depot: &Path, late: &Value, early: &Value) -> String {
    let manifest = |backup: &Value| -> Value {
        let folder = folder_of(depot, backup["id"].as_str().unwrap());
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
    };
    let files = |backup: &Value| manifest(backup)["files"].as_array().unwrap().clone();
    let known: Vec<Value> = files(early).into_iter().map(|file| file["sha256"].clone()).collect();
    let new = files(late).into_iter().filter(|file| !known.contains(&file["sha256"]));
    let largest = new.max_by_key(|file| file["bytes"].as_u64()).unwrap();
    let sum = largest["sha256"].as_str().unwrap().to_owned();
    let home = folder_of(depot, late["id"].as_str().unwrap());
    let file = home.parent().unwrap().with_file_name("files").join(&sum[..2]).join(&sum);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    sum
}

/// Where a backup of the first node lies, whatever the cluster's name.
fn folder_of(depot: &Path, id: &str) -> PathBuf {
    let clusters = std::fs::read_dir(depot).unwrap().map(|entry| entry.unwrap().path());
    clusters.map(|cluster| cluster.join("n0/backups").join(id)).find(|folder| folder.exists()).unwrap()
}

/// Waits until a node tells that it took this step and has come so far.
async fn settled(node: &Node, step: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let seen = until(PATIENCE * 2, async || {
        node.status().await.filter(|status| status["rejoin"]["step"] == step && is_so(status))
    });
    let seen = seen.await;
    match seen {
        Some(status) => status,
        None => panic!("no {step}: {:#}\n{}", node.status().await.unwrap_or_default(), node.log()),
    }
}

fn told(node: &Node, what: &str) -> bool {
    node.log().lines().any(|line| line.contains("coming back") && line.contains(what))
}

/// The damaged backup was tried, and refused by name.
fn refused(node: &Node, status: &Value, backup: &Value, file: &str) {
    let refused = status["rejoin"]["backups_refused"].as_array().unwrap();
    let told = refused.iter().find(|refused| refused["backup"] == backup["id"]).unwrap();
    assert_eq!(told["node"], "n0");
    assert!(told["why"].as_str().unwrap().contains(file), "{told}");
    assert!(node.log().lines().any(|line| line.contains("refused") && line.contains(file)), "{}", node.log());
    assert!(!node.store().join("restoring").exists(), "what came of it is removed");
}
