//! Records that could not be used, in an operator's hands: listed, shown, dropped, replayed once. And the sink's place
//! in the log: told, and moved only when that is meant.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;

use edgefeed::clock::now_ms;
use edgefeed::world::Message;
use edgefeed_storage::model::{Action, DeadReason, Event, Id, IdKind, Topic};
use edgefeed_sync::center::{self, Center, Encoded, Table, row};
use edgefeed_sync::dead_letters::{DeadLetterTopic, Letter};
use serde_json::{Value, json};

use crate::compare;
use crate::crash::broker::Kafka;
use crate::crash::node::{Home, PATIENCE, TIGHT};
use crate::real::stack::unproved;

/// A node's place, and a port on which the running node is found.
pub(crate) struct Place {
    pub(crate) home: Home,
    pub(crate) kafka: Kafka,
    port: u16,
}

/// What a verb said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_slice(&self.out).unwrap()
    }
}

impl Place {
    pub(crate) fn new(kafka: Kafka) -> Self {
        // Free for now; nothing else of this test asks for one.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = Home::new(&kafka.address(), "", TIGHT);
        let place = Self { home, kafka, port };
        let text = std::fs::read_to_string(place.config()).unwrap();
        let listen = format!("admin.listen = \"127.0.0.1:{port}\"");
        std::fs::write(place.config(), text.replace("admin.listen = \"127.0.0.1:0\"", &listen)).unwrap();
        place
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home.beside("edgefeed.toml")
    }

    pub(crate) fn say(&self, verb: &str) -> Said {
        let done = Command::new(env!("CARGO_BIN_EXE_edgefeed"))
            .args(verb.split(' '))
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap();
        Said { code: done.status.code(), out: done.stdout, err: String::from_utf8(done.stderr).unwrap() }
    }

    pub(crate) fn write(&mut self, partition: u32, value: &[u8]) -> i64 {
        let message =
            Message { topic: Topic::Events, key: b"7".to_vec(), value: Some(value.to_vec()), time_ms: now_ms() };
        let offset = self.kafka.write_to(partition, message);
        self.kafka.flush();
        offset
    }

    /// Lets a node apply everything there is, and stops it.
    pub(crate) fn follow(&self) {
        let node = self.home.start();
        node.wait_caught_up();
        assert_eq!(node.terminate().0, Some(0));
    }

    pub(crate) fn views(&self) -> u64 {
        let mut views = 0;
        let store = compare::open(&self.home.store(), IdKind::U64);
        store.each_post_hour(|_, _, counts| views += u64::from(counts.views)).unwrap();
        views
    }
}

pub(crate) fn view(id: u64) -> String {
    let time = now_ms();
    format!(
        r#"{{"event_id":"00000000-0000-4000-8000-{id:012x}","event_time":{time},"user_id":7,"post_id":1,"action":"view"}}"#
    )
}

#[test]
fn every_verb_says_the_same_of_a_held_and_of_a_free_store() {
    let mut place = Place::new(Kafka::start());
    let odd = [b"{\"a\":\x1b[2J\n\t".as_slice(), &[0xff, 0xfe, 0, b'"'], b"not json"];
    for (partition, value) in odd.iter().enumerate() {
        place.write(partition as u32, value);
    }
    place.write(0, br#"{"user_id":"no id"}"#);
    place.write(0, view(1).as_bytes());
    let depot = place.home.beside("depot");
    let mut text = std::fs::read_to_string(place.config()).unwrap();
    text.push_str(&format!("[backup]\nurl = \"{}\"\n", depot.display()));
    std::fs::write(place.config(), text).unwrap();
    place.follow();
    assert_eq!(place.say("backup create").code, Some(0));
    let verbs = [
        "inspect user 7",
        "inspect user 7 --output json",
        "inspect user nobody",
        "inspect post 1",
        "inspect post 1 --output json",
        "inspect author 7 --limit 3",
        "inspect author 7 --output json",
        "inspect offsets",
        "inspect offsets --output json",
        "forget 7 --dry-run",
        "forget 7 --dry-run --output json",
        "forget me",
        "backup list",
        "backup list --all --output json",
        "backup verify",
        "backup verify 2099 --output json",
        "backup restore",
        "dlq list",
        "dlq list --output json",
        "dlq list --topic events --reason malformed --limit 2 --output json",
        "dlq list --counts",
        "dlq list --counts --output json",
        "dlq list --topic nothing",
        "dlq list --reason nothing",
        "dlq list --cursor nothing",
        "dlq list --limit 0",
        "dlq show events-0-0",
        "dlq show events-0-0 --output json",
        "dlq show events-1-0",
        "dlq show events-1-0 --raw",
        "dlq show events-3-0",
        "dlq show events",
        "sink status",
        "sink status --output json",
        "sink resume --from center",
    ];
    let free: Vec<_> = verbs.iter().map(|verb| place.say(verb)).collect();
    let node = place.home.start();
    node.wait_caught_up();
    for (verb, free) in verbs.iter().zip(&free) {
        assert_eq!(place.say(verb), *free, "{verb}");
    }
    let sizes = |said: Said| {
        let mut sizes = said.json();
        // The node notes its contact with Kafka all the time.
        sizes["families"].as_array_mut().unwrap().retain(|family| family["family"] != "meta");
        sizes["families"].clone()
    };
    let held = sizes(place.say("inspect store --output json"));
    assert_eq!(place.say("backup create --output json").json()["sent_files"].as_u64().map(|sent| sent > 0), Some(true));
    // Orders: each is given to the node and taken back by the store alone, or the other way.
    let dropped = place.say("dlq drop events-0-0 --output json").json();
    assert_eq!(dropped, json!({ "dropped": 1 }));
    let accepted = place.say("dlq accept events-2 --through 41 --output json").json();
    assert_eq!(accepted, json!({ "partition": "events-2", "through": 41, "before": null }));
    let forgotten = place.say("forget 880055 --output json").json();
    assert_eq!((&forgotten["store"], &forgotten["center"]), (&json!({}), &json!({ "state": "none" })));
    assert_eq!(node.terminate().0, Some(0));
    let again = place.say("forget 880055 --output json").json();
    assert_eq!(again["since"], forgotten["since"], "forgotten once and for all");
    assert!(place.say("backup create").code == Some(0), "the place is free again");
    let names = |sizes: &Value| -> Vec<String> {
        sizes.as_array().unwrap().iter().map(|family| family["family"].to_string()).collect()
    };
    assert_eq!(names(&sizes(place.say("inspect store --output json"))), names(&held));
    assert_eq!(place.say("dlq drop events-0-0 --output json").json(), json!({ "dropped": 0 }));
    let accepted = place.say("dlq accept events-2 --through 7 --output json").json();
    assert_eq!(accepted, json!({ "partition": "events-2", "through": 7, "before": 41 }));
    assert_eq!(place.say("dlq drop --topic events --output json").json(), json!({ "dropped": 3 }));
    assert_eq!(place.say("dlq list --output json").json()["letters"], json!([]));
}

#[test]
fn a_dead_letter_is_listed_and_shown_byte_for_byte() {
    let mut place = Place::new(Kafka::start());
    let bytes: Vec<u8> = (0..=255).collect();
    let text = "{ \u{e9}\u{1b}[31m \n";
    let (binary, readable) = (place.write(2, &bytes), place.write(2, text.as_bytes()));
    place.follow();
    let listing = place.say("dlq list --output json").json();
    let lines = listing["letters"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["key"], &lines[0]["bytes"]), (&json!(format!("events-2-{readable}")), &json!(text.len())));
    assert_eq!((&lines[1]["reason"], &lines[1]["bytes"]), (&json!("malformed"), &json!(256)));
    assert_eq!(place.say(&format!("dlq show events-2-{binary} --raw")).out, bytes);
    assert_eq!(place.say(&format!("dlq show events-2-{readable} --raw")).out, text.as_bytes());
    let shown = place.say(&format!("dlq show events-2-{readable} --output json")).json();
    assert_eq!((&shown["value"], &shown["record_key"]), (&json!({ "text": text }), &json!({ "text": "7" })));
    let missing = place.say("dlq show events-2-99");
    assert_eq!(missing.code, Some(1));
    assert_eq!(missing.err.lines().count(), 1, "{}", missing.err);
}

#[test]
fn a_replayed_record_keeps_its_event_id_counts_once_and_is_replayed_once() {
    let mut place = Place::new(Kafka::start());
    // One that was counted before, one that never was, one that nobody can use.
    let (known, fresh) = (view(1), view(2));
    place.write(0, known.as_bytes());
    place.follow();
    assert_eq!(place.views(), 1);
    let letters = [(0, known.as_bytes()), (1, fresh.as_bytes()), (2, b"{".as_slice())];
    write_letters(&place, &letters);
    let dry = place.say("dlq replay --topic events --dry-run --output json").json();
    assert_eq!((&dry["matched"], &dry["replayed"]), (&json!(3), &json!(0)));
    let some = place.say("dlq replay --topic events --key events-1-1001 --output json").json();
    assert_eq!((&some["matched"], &some["replayed"]), (&json!(1), &json!(1)));
    let rest = place.say("dlq replay --topic events --since 1h --reason bad_value --output json").json();
    assert_eq!(rest["replayed"], 2, "{rest:#}");
    let again = place.say("dlq replay --topic events --output json").json();
    assert_eq!((&again["matched"], &again["replayed"]), (&json!(0), &json!(0)));
    place.follow();
    // The same key, so the same partition as the first: its id is known there.
    assert_eq!(place.views(), 2);
    let dead = place.say("dlq list --output json").json();
    assert_eq!(dead["letters"].as_array().unwrap().len(), 1, "what cannot be used is a dead letter again: {dead:#}");
}

#[test]
fn a_letter_dropped_in_kafka_is_never_replayed() {
    let place = Place::new(Kafka::start());
    place.follow();
    write_letters(&place, &[(0, view(1).as_bytes()), (1, view(2).as_bytes())]);
    let dropped = place.say("dlq drop events-0-1000 --kafka --output json").json();
    assert_eq!(dropped, json!({ "dropped": 0, "dropped_in_kafka": 1 }));
    assert_eq!(place.say("dlq replay --topic events --output json").json()["replayed"], 1);
    place.follow();
    assert_eq!(place.views(), 1);
}

/// Writes dead letters of `events` as the sink does, each twice: the second one counts.
fn write_letters(place: &Place, letters: &[(u32, &[u8])]) {
    let config = edgefeed_sync::Config { brokers: place.kafka.address(), ..Default::default() };
    let topic = DeadLetterTopic::new(&config, "dlq.").unwrap();
    let (tell, told) = channel();
    for _ in 0..2 {
        for (number, (partition, value)) in letters.iter().enumerate() {
            let letter = Letter {
                topic: "events",
                partition: *partition,
                offset: 1_000 + number as i64,
                time: now_ms(),
                key: Some(b"7"),
                value,
                reason: DeadReason::BadValue,
                detail: "a test says so",
                node: "test",
            };
            let tell = tell.clone();
            topic.send_then(&letter, move |fate| tell.send(fate.map_err(|error| error.to_string())).unwrap()).unwrap();
        }
    }
    for _ in 0..2 * letters.len() {
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Ok(()));
    }
}

#[test]
fn without_a_broker_that_is_what_a_verb_says() {
    let place = Place::new(Kafka::start());
    place.follow();
    let text = std::fs::read_to_string(place.config()).unwrap();
    let away =
        text.replace(&place.kafka.address(), "127.0.0.1:1").replace("[storage]", "request_timeout_ms = 300\n[storage]");
    std::fs::write(place.config(), away).unwrap();
    for verb in ["dlq replay --topic events", "dlq drop --all --kafka", "sink status"] {
        let said = place.say(verb);
        assert_eq!((said.code, said.out.len()), (Some(1), 0), "{verb}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{verb}: {}", said.err);
        assert!(said.err.contains("kafka"), "{verb}: {}", said.err);
    }
    // These need none.
    assert_eq!(place.say("dlq list").code, Some(0));
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let place = Place::new(Kafka::start());
    let said = place.say("dlq list");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("there is no store"), "{}", said.err);
    assert!(!place.home.store().exists());
}

#[test]
fn a_store_held_by_somebody_who_does_not_answer_is_said_so() {
    let place = Place::new(Kafka::start());
    place.follow();
    let held = compare::open(&place.home.store(), IdKind::U64);
    let said = place.say("dlq list");
    assert_eq!(said.code, Some(1));
    let port = place.port.to_string();
    assert!(said.err.contains("held") && said.err.contains(&port) && said.err.lines().count() == 1, "{}", said.err);
    drop(held);
    assert_eq!(place.say("dlq list").code, Some(0));
}

#[test]
fn reading_the_log_anew_is_a_usage_error_unless_it_is_said() {
    let place = Place::new(Kafka::start());
    for verb in ["sink resume --from earliest", "sink resume --from 5 --partition events-0"] {
        let said = place.say(verb);
        assert_eq!(said.code, Some(2), "{verb}: {said:?}");
        assert!(said.err.contains("--accept-reset") && said.err.lines().count() == 1, "{}", said.err);
    }
    let said = place.say("sink resume --from 5 --accept-reset");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--partition"), "{}", said.err);
    let status = place.say("sink status --output json").json();
    assert_eq!(status["group"], "edgefeed-sink");
    assert!(status["partitions"].as_array().unwrap().iter().all(|row| row["committed"].is_null()), "{status:#}");
}

/// A database of this test's own at the center, with the tables, and ten rows of `events` 1 that came in one range.
fn center(url: &str) -> String {
    let database = format!("resume_{}_{}", std::process::id(), now_ms());
    let config = center::Config { url: url.to_owned(), database: database.clone(), ..Default::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    for offset in 10..20 {
        let event = Event {
            event_id: u128::from(offset),
            event_time: now_ms(),
            user: Id(7),
            post: Id(1),
            author: None,
            action: Action::View,
            dwell_ms: 0,
        };
        let origin = row::Origin { cluster: "default", epoch: 2, topic: "events", partition: 1, offset, ts: now_ms() };
        let columns = row::EventRow { event: &event, device: "", app_ver: "" };
        row::event(&mut rows, IdKind::U64, &columns, &origin);
        row::seal(&mut rows, 10, 19);
    }
    runtime.block_on(async {
        let center = Center::new(&config).unwrap();
        center.migrate(IdKind::U64, "", false).await.unwrap();
        center.insert(Table::Events, &Encoded::new(rows), "a token").await.unwrap();
    });
    database
}

#[test]
fn the_sink_goes_on_from_what_the_center_holds() {
    let Some(url) = std::env::var("EDGEFEED_TEST_CLICKHOUSE").ok().filter(|url| !url.is_empty()) else {
        unproved("the sink goes on from what the center holds", "EDGEFEED_TEST_CLICKHOUSE is not set");
        return;
    };
    let mut place = Place::new(Kafka::start());
    for id in 0..30 {
        place.write(1, view(id).as_bytes());
    }
    let text = std::fs::read_to_string(place.config()).unwrap();
    let database = center(&url);
    std::fs::write(place.config(), format!("{text}\n[clickhouse]\nurl = \"{url}\"\ndatabase = \"{database}\"\n"))
        .unwrap();

    let resumed = place.say("sink resume --from center --output json").json();
    let of = |rows: &Value, topic: &str, partition: u32| {
        rows.as_array()
            .unwrap()
            .iter()
            .find(|row| row["topic"] == topic && row["partition"] == partition)
            .unwrap()
            .clone()
    };
    assert_eq!(resumed.as_array().unwrap().len(), 7 * 4);
    let expected = json!({ "topic": "events", "partition": 1, "from_offset": 10, "pending_through": 19, "epoch": 2 });
    assert_eq!(of(&resumed, "events", 1), expected);
    let nothing =
        json!({ "topic": "cdc.users", "partition": 3, "from_offset": 0, "pending_through": null, "epoch": 0 });
    assert_eq!(of(&resumed, "cdc.users", 3), nothing);

    // The same order to a running node.
    place.follow();
    let node = place.home.start();
    node.wait_caught_up();
    assert_eq!(place.say("sink resume --from center --partition events-1 --output json").json(), json!([expected]));
    assert_eq!(place.say("sink resume --from earliest --partition events-1").code, Some(2));
    let anew = place.say("sink resume --from earliest --accept-reset --partition events-1 --output json").json();
    assert_eq!((&anew[0]["from_offset"], &anew[0]["epoch"]), (&json!(0), &json!(3)));
    let held = place.say("sink status --output json").json();
    assert_eq!(node.terminate().0, Some(0));
    assert_eq!(place.say("sink status --output json").json(), held);
    let row = of(&held["partitions"], "events", 1);
    assert_eq!((&row["committed"], &row["epoch"], &row["lag_records"]), (&json!(0), &json!(3), &json!(30)));
    let text = String::from_utf8(place.say("sink status").out).unwrap();
    assert!(text.lines().any(|line| line.starts_with("events-1 ")), "{text}");
}
