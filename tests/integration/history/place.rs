//! A database of the center, and nodes that ask it.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgefeed::affinity::{Affinity, Source};
use edgefeed_storage::model::{Counters, Id, IdKind};
use edgefeed_storage::{Config, OpenOptions, Store};
use edgefeed_sync::breaker::{self, Breaker};
use edgefeed_sync::center::{self, Center};

use super::told::{CLUSTER, TOPIC, Told};
use crate::real::stack::unproved;

/// A database with edgefeed's tables, gone with the test.
pub(super) struct Place {
    pub(super) url: String,
    pub(super) database: String,
    pub(super) ids: IdKind,
    http: reqwest::Client,
}

impl Place {
    /// A fresh one; where there is no ClickHouse the promise goes unproved, which is said.
    pub(super) async fn or_unproved(promise: &str, ids: IdKind) -> Option<Self> {
        let Ok(url) = std::env::var("EDGEFEED_TEST_CLICKHOUSE") else {
            unproved(promise, "EDGEFEED_TEST_CLICKHOUSE is not set; `make test` starts the real stack");
            return None;
        };
        let database = format!("history_{}", uuid::Uuid::new_v4().simple());
        let place = Self { url, database, ids, http: reqwest::Client::new() };
        place.ask(&format!("CREATE DATABASE {}", place.database)).await;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/clickhouse/schema");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            place.ask(&place.rendered(&std::fs::read_to_string(file).unwrap())).await;
        }
        Some(place)
    }

    fn rendered(&self, statement: &str) -> String {
        statement
            .replace("{database}", &self.database)
            .replace("{on_cluster}", "")
            .replace("{id}", if self.ids == IdKind::Uuid { "UUID" } else { "UInt64" })
            .replace("{replicated}", "")
            .replace("{dedup_window}", "non_replicated_deduplication_window = 10000")
    }

    /// What ClickHouse answers.
    pub(super) async fn ask(&self, sql: &str) -> String {
        let answer = self.http.post(&self.url).body(sql.to_owned()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{sql}: {text}");
        text.trim().to_owned()
    }

    /// Lets the center know of records, as a sink does: `events`, and the views by way of it.
    pub(super) async fn tell(&self, records: &[Told]) {
        let rows: Vec<String> = records.iter().map(|told| told.row(self.ids).to_string()).collect();
        self.ask(&format!("INSERT INTO {}.events FORMAT JSONEachRow\n{}", self.database, rows.join("\n"))).await;
    }

    /// Asks the database itself, by way of `url`: the server, or somebody between.
    pub(super) fn config(&self, url: &str) -> center::Config {
        let database = self.database.clone();
        center::Config { url: url.to_owned(), database, affinity_budget_ms: 1_000, ..center::Config::default() }
    }

    /// A node without records.
    pub(super) fn node(&self) -> Node {
        Node::new(self.ids, &self.config(&self.url))
    }

    pub(super) async fn remove(self) {
        self.ask(&format!("DROP DATABASE {}", self.database)).await;
    }
}

/// As much of a node as histories need.
pub(super) struct Node {
    pub(super) store: Arc<Store>,
    pub(super) affinity: Arc<Affinity>,
    pub(super) breaker: Arc<Breaker>,
    _dir: tempfile::TempDir,
}

impl Node {
    pub(super) fn new(ids: IdKind, config: &center::Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Config { dir: dir.path().join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
        let store = Arc::new(Store::open(&storage, OpenOptions { ids, apply_truncates: false }).unwrap());
        let breaker = Breaker::new("clickhouse", &breaker::Config::default());
        let source = Source {
            center: Center::new(config).unwrap(),
            breaker: Arc::clone(&breaker),
            cluster: CLUSTER.to_owned(),
            topic: TOPIC.to_owned(),
        };
        let affinity = Affinity::new(Arc::clone(&store), Some(source), config, || true);
        Self { store, affinity, breaker, _dir: dir }
    }

    /// Applies records in batches, as they come.
    pub(super) fn apply(&self, records: &[Told], now_ms: i64) {
        for batch in records.chunks(500) {
            self.store.apply(&batch.iter().map(Told::record).collect::<Vec<_>>(), now_ms).unwrap();
        }
    }

    /// What a page of this reader would know of their history, by author.
    pub(super) fn history(&self, reader: Id, now_ms: i64) -> BTreeMap<Id, Counters> {
        let view = self.store.view(reader, now_ms).unwrap();
        let viewer = view.viewer();
        viewer.history.iter().map(|(author, sum)| (view.author_id(*author).unwrap(), *sum)).collect()
    }

    /// Whether a page of this reader is marked.
    pub(super) fn is_stale(&self, reader: Id, now_ms: i64) -> bool {
        self.affinity.mark(&self.store.view(reader, now_ms).unwrap().viewer(), Some(now_ms), now_ms).1
    }
}
