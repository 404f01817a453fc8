//! Everything one promise needs: topics, a database, a group, and nodes with their own ways to ClickHouse.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use super::clickhouse::ClickHouse;
use super::compare::{self, Origin};
use super::control::{Control, Seen};
use super::fold::Fold;
use super::kafka::Topics;
use super::log::{Entry, Ids, Source};
use super::node::{Node, PATIENCE, Settings};
use super::parts::{Parts, own_name};
use super::proxy::Proxy;
use crate::real::steps::until;

/// How long everything written may take to stand in ClickHouse once nothing is in its way.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
/// The version every node starts with, and the other one.
pub(crate) const VERSION: u32 = 0;
pub(crate) const OTHER_VERSION: u32 = 1;
/// The limit on a record's size in [`OTHER_VERSION`], and a record between the two.
const OTHER_RECORD_MAX: usize = 1_500;
pub(crate) const BIG: usize = 3_000;

pub(crate) type Ends = BTreeMap<(Source, u32), i64>;

pub(crate) struct Stage {
    pub(crate) center: ClickHouse,
    pub(crate) topics: Arc<Topics>,
    pub(crate) control: Arc<Control>,
    pub(crate) origin: Origin,
    pub(crate) group: String,
}

impl Stage {
    /// New topics and a new database with tables as `edgefeed migrate` makes them.
    pub(crate) async fn new(parts: &Parts, name: &str, ids: Ids, partitions: u32) -> Self {
        let name = own_name(name);
        let topics = Arc::new(Topics::create(&parts.kafka, &format!("{name}."), partitions));
        let center = ClickHouse::new(&parts.clickhouse, &name);
        let stage = Self::over(center, topics, ids, &name);
        stage.migrate();
        stage
    }

    /// Over topics and a database that are there.
    pub(crate) fn over(center: ClickHouse, topics: Arc<Topics>, ids: Ids, cluster: &str) -> Self {
        let origin = Origin { ids, cluster: cluster.to_owned(), epoch: 0, topics: topics.prefix.clone() };
        Self { center, topics, control: Arc::default(), origin, group: format!("{cluster}-sink") }
    }

    /// What `edgefeed migrate clickhouse` does, again if need be.
    pub(crate) fn migrate(&self) {
        Node::new(self.settings(&self.center.url)).must(&["migrate", "clickhouse"]);
    }

    /// A node of this stage: small batches, so that there is much to go wrong, and little patience.
    pub(crate) fn settings(&self, url: &str) -> Settings {
        let more = [
            (("sink", "flush_ms"), "150"),
            (("sink", "flush_rows"), "400"),
            (("sink", "session_timeout_ms"), "2000"),
            (("clickhouse", "insert_timeout_ms"), "3000"),
            (("breaker", "open_ms"), "200"),
            (("storage", "dedup_hours"), "24"),
            (("limits", "subject_per_s"), "0"),
        ];
        Settings {
            ids: self.origin.ids,
            cluster: self.origin.cluster.clone(),
            brokers: self.topics.broker.clone(),
            topics: self.topics.prefix.clone(),
            roles: r#"["serve", "sink"]"#,
            url: url.to_owned(),
            database: self.center.database.clone(),
            group: self.group.clone(),
            more: more.into_iter().map(|(key, value)| (key, value.to_owned())).collect(),
        }
    }

    /// A node with an empty store, not started.
    pub(crate) async fn member(&self, number: usize) -> Member {
        let proxy = Proxy::start(number, &self.center.url, Arc::clone(&self.control)).await;
        let node = Node::new(self.settings(&proxy.url()));
        Member { node, proxy, number, control: Arc::clone(&self.control) }
    }

    /// Partitions whose committed offset is not their end.
    pub(crate) fn behind(&self, ends: &Ends) -> BTreeMap<(Source, u32), String> {
        let committed = self.topics.committed(&self.group);
        let behind = ends.iter().filter(|(place, end)| committed.get(place).is_none_or(|held| held.offset != **end));
        behind.map(|(place, end)| (*place, format!("{:?}, not {end}", committed.get(place)))).collect()
    }

    /// Waits until the group has committed the end of every partition.
    pub(crate) async fn drained(&self, ends: &Ends) {
        self.drained_within(DRAINED_WITHIN, ends).await;
    }

    pub(crate) async fn drained_within(&self, patience: Duration, ends: &Ends) {
        let done = until(patience, async || self.behind(ends).is_empty().then_some(())).await;
        let last = || self.control.seen(Seen::last);
        assert!(done.is_some(), "not in ClickHouse within {patience:?}: {:#?}\nlast: {:#?}", self.behind(ends), last());
    }

    /// The center and the dead letters are exactly this log's. `excused`: records that may be dead letters as well.
    pub(crate) async fn check(&self, log: &[Entry], excused: &BTreeSet<(Source, u32, i64)>) {
        let fold = Fold::of(log);
        compare::everything(&self.center, &self.origin, &fold).await;
        self.check_letters(&fold, excused);
        self.check_inserts();
    }

    fn check_letters(&self, fold: &Fold, excused: &BTreeSet<(Source, u32, i64)>) {
        for source in Source::ALL {
            let key = |(of, partition, offset): &(Source, u32, i64)| {
                (*of == source).then(|| format!("{}-{partition}-{offset}", self.topics.name(source)))
            };
            let mut letters = self.topics.dead_letters(source);
            for (place, raw) in fold.bad.iter().filter(|(place, _)| place.0 == source) {
                let Some((value, headers)) = letters.remove(&key(place).unwrap()) else {
                    panic!("{place:?} is no dead letter: {:?}", String::from_utf8_lossy(raw));
                };
                assert_eq!(value.as_bytes(), raw, "{place:?}: a dead letter is the record's own bytes");
                assert!(!headers.is_empty(), "{place:?}: a dead letter tells its reason");
            }
            excused.iter().filter_map(key).for_each(|key| drop(letters.remove(&key)));
            assert!(letters.is_empty(), "dead letters of good records: {:?}", letters.first_key_value());
        }
    }

    /// What was sent on the way could not have doubled anything, whatever happened to it.
    pub(crate) fn check_inserts(&self) {
        self.control.seen(|seen| {
            // Who was forgotten is noted once, however often it is said: that table keeps one row a user.
            let noted = |insert: &&String| insert.contains("INSERT INTO forgotten_users");
            let doubling: Vec<&String> = seen.unsafe_inserts.iter().filter(|insert| !noted(insert)).collect();
            assert_eq!(doubling.first(), None, "{} inserts a retry could double", doubling.len());
            assert_eq!(seen.unsteady(), Vec::<&super::token::Token>::new(), "other rows under the same token");
        });
    }
}

/// A node and its way to ClickHouse.
pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) proxy: Proxy,
    pub(crate) number: usize,
    control: Arc<Control>,
}

impl Member {
    /// Says which decode version its next start has.
    ///
    /// The binary has one decoder. What stands for another is another limit on the size of records: it takes or
    /// refuses records that the first did not, so the same range of the log gives other rows.
    pub(crate) fn set_version(&mut self, version: u32) {
        self.control.set_version(self.number, version);
        let limit = if version == VERSION { 1 << 20 } else { OTHER_RECORD_MAX };
        self.node.settings.more.insert(("kafka", "record_max_bytes"), limit.to_string());
    }

    /// Ends it in order and waits for that.
    pub(crate) async fn leave(&mut self) {
        let status: ExitStatus = self.node.terminate().await;
        assert_eq!(status.code(), Some(0), "SIGTERM is an orderly end");
    }

    /// Waits for a stall with this reason of a table whose name has `table` in it.
    pub(crate) async fn stalls(&self, table: &str, reasons: &[&str]) -> String {
        let so = |labels: &String| {
            labels.contains(table) && reasons.iter().any(|reason| labels.contains(&format!("reason=\"{reason}\"")))
        };
        let mut last = Vec::new();
        let found = until(PATIENCE, async || {
            last = self.node.stalls().await;
            last.iter().find(|labels| so(labels)).cloned()
        });
        match found.await {
            Some(labels) => labels,
            None => panic!("no stall of {table} by {reasons:?}, but {last:?}"),
        }
    }

    /// Waits until nothing is stalled.
    pub(crate) async fn flows(&self) {
        let done = until(PATIENCE, async || self.node.stalls().await.is_empty().then_some(())).await;
        assert!(done.is_some(), "still stalled: {:?}", self.node.stalls().await);
    }
}
