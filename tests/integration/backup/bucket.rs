//! The same in an S3-compatible store, for which moto stands in.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::add_config;
use crate::crash::broker::Kafka;
use crate::dlq::{Place, view};
use crate::real::stack::unproved;

/// A bucket, as long as this lives.
struct Moto {
    child: Child,
    address: String,
}

impl Moto {
    fn or_unproved(promise: &str) -> Option<Self> {
        let python =
            std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/edgefeed/moto/venv/bin/python"));
        let Some(python) = python.filter(|python| python.exists()) else {
            unproved(promise, "moto is not installed; `tests/venv.sh moto` does so");
            return None;
        };
        let script = "import sys\nfrom moto.server import ThreadedMotoServer\n\
            server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\nserver.start()\n\
            print(server._server.server_port, flush=True)\nsys.stdin.read()\n";
        let mut child = Command::new(python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = format!("http://127.0.0.1:{}", line.trim());
        put(&format!("{address}/edgefeed-backups"));
        Some(Self { child, address })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// PUT without a body, as any client may send it to moto: it does not look at signatures.
fn put(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer =
        runtime.block_on(async { reqwest::Client::builder().no_proxy().build().unwrap().put(url).send().await });
    assert!(answer.unwrap().status().is_success(), "{url} could not be made");
}

/// A node's place, with this bucket for its backups.
fn place_with(moto: &Moto) -> Place {
    let place = Place::new(Kafka::start());
    add_config(
        &place,
        &format!(
            "[backup]\nurl = \"s3://edgefeed-backups/some/where\"\nendpoint = \"{}\"\naccess_key_id = \"k\"\n\
             secret_access_key = \"s\"\nkeep = 1\nretries = 1\n",
            moto.address
        ),
    );
    place
}

#[test]
fn a_bucket_keeps_backups_as_a_directory_does() {
    let Some(moto) = Moto::or_unproved("a bucket keeps backups as a directory does") else { return };
    let mut place = place_with(&moto);
    for id in 0..50 {
        place.write(id % 4, view(u64::from(id)).as_bytes());
    }
    place.follow();
    let probe = place.say("check --probe --output json");
    let answers: serde_json::Value = serde_json::from_slice(&probe.out).unwrap();
    let backup = answers["dependencies"].as_array().unwrap().iter().find(|probe| probe["dependency"] == "backup");
    assert_eq!(backup.unwrap()["ok"], true, "{answers:#}");
    let first = place.say("backup create --output json").json();
    assert_eq!(first["sent_files"], first["backup"]["files"]);
    place.write(0, view(99).as_bytes());
    place.follow();
    let second = place.say("backup create --output json").json();
    assert!(second["sent_files"].as_u64() < second["backup"]["files"].as_u64(), "{second:#}");
    assert_eq!(second["removed"][0], first["backup"]["id"], "one is kept");
    let listed = place.say("backup list --output json").json();
    assert_eq!(listed["backups"], serde_json::json!([second["backup"]]));
    assert_eq!(place.say("backup verify").code, Some(0));
    let into = place.home.beside("back");
    let restored = place.say(&format!("backup restore --into {} --output json", into.display())).json();
    assert_eq!(restored["backup"], second["backup"]);
    drop(moto);
    // A place that is gone is told in time, and before anything else is looked at.
    let dead = place.say("backup create");
    assert_eq!((dead.code, dead.err.lines().count()), (Some(1), 1), "{}", dead.err);
    assert!(dead.err.contains("backup.url"), "{}", dead.err);
}

#[test]
fn a_node_that_lost_its_disk_restores_from_a_bucket_by_itself_where_kafka_has_lost_the_beginning() {
    let promise = "a node that lost its disk restores from a bucket by itself";
    let Some(moto) = Moto::or_unproved(promise) else { return };
    let mut place = place_with(&moto);
    for id in 0..40 {
        place.write(id % 4, view(u64::from(id)).as_bytes());
    }
    place.follow();
    // The broker keeps 5 MiB of a partition: of the views in this one nothing is left there in the end.
    for _ in 0..3 {
        for _ in 0..90 {
            place.write(0, &[b'x'; 32 << 10]);
        }
        place.follow();
    }
    assert_eq!(place.say("backup create").code, Some(0));
    place.write(1, view(99).as_bytes());
    std::fs::remove_dir_all(place.home.store()).unwrap();
    let node = place.home.start();
    node.wait_for_message("the new store answers from now on");
    node.wait_caught_up();
    assert!(node.words().contains("Kafka no longer has the beginning of events-0"), "{}", node.words());
    assert_eq!(node.terminate().0, Some(0));
    assert_eq!(place.views(), 41, "what Kafka no longer has, and what came behind the backup");
    assert!(place.home.store().join("epoch-1").is_dir() && !place.home.store().join("db").exists());
}
