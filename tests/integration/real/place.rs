//! A test's own place in the stack: a database, a connector, topics, and a directory for the node.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use edgefeed_storage::model::{Id, IdKind};
use tempfile::TempDir;

use super::database::{Database, insert};
use super::kafka_log::records;
use super::stack::Stack;
use super::steps::until;
use crate::oracle::LogRecord;

/// How long Debezium may take to tell how far it is.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Place {
    pub(crate) stack: Stack,
    /// Of the database, the connector and the node; what the topics' names begin with.
    pub(crate) name: String,
    pub(crate) ids: IdKind,
    pub(crate) database: Database,
    dir: TempDir,
    connected: bool,
    _kafka: File,
}

impl Place {
    /// A place where Kafka stays up.
    pub(crate) async fn new(stack: Stack, ids: IdKind) -> Self {
        let kafka = stack.while_kafka_stays();
        Self::with(stack, ids, kafka).await
    }

    /// A place whose test may take Kafka away from all.
    pub(crate) async fn alone(stack: Stack, ids: IdKind) -> Self {
        let kafka = stack.kafka_for_me();
        Self::with(stack, ids, kafka).await
    }

    async fn with(stack: Stack, ids: IdKind, kafka: File) -> Self {
        let name = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let url = {
            let _alone = stack.while_setting_up();
            stack.run("db-create", &[&name, "--ids", ids.name()])
        };
        // Debezium makes a topic with its first record; the node must not wait for tables that stay empty.
        stack.ask_kafka(&["topics", &name]);
        let database = Database::open(url.trim()).await;
        Self { stack, name, ids, database, dir: tempfile::tempdir().unwrap(), connected: false, _kafka: kafka }
    }

    /// Starts the connector: a snapshot of the rows there are, then every change.
    pub(crate) fn connect(&mut self) {
        self.connected = true;
        let database = format!("database.dbname={}", self.name);
        let prefix = format!("topic.prefix={}", self.name);
        self.stack.run("connector", &[&self.name, &database, &prefix]);
    }

    /// Waits until Kafka has every change committed so far; all that stands in the topics.
    ///
    /// Debezium tells the server how far Kafka has acknowledged, and of a transaction only when later ones come: rows
    /// of `users`, which no feed looks at.
    pub(crate) async fn settled(&self) -> Vec<LogRecord> {
        let end: String = self.database.ask("SELECT pg_current_wal_insert_lsn()::text".to_owned()).await;
        let slot = format!("edgefeed_{}", self.name);
        let told = format!("SELECT confirmed_flush_lsn > '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'");
        let told = async || {
            self.database.run(insert("users", &[("id", self.text(self.id()))])).await;
            self.database.ask::<bool>(told.clone()).await.then_some(())
        };
        assert!(until(SETTLED_WITHIN, told).await.is_some(), "Debezium is behind {end} for {SETTLED_WITHIN:?}");
        records(self)
    }

    /// The Kafka name of a table's topic, or of `events`.
    pub(crate) fn topic(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// A directory for a store, the same for the same name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new id, random as an application's would be.
    pub(crate) fn id(&self) -> Id {
        let random = uuid::Uuid::new_v4().as_u128();
        match self.ids {
            IdKind::Uuid => Id(random),
            // PostgreSQL's bigint ends at 2^63.
            IdKind::U64 => Id(random >> 65),
        }
    }

    /// An id as it stands in SQL and JSON.
    pub(crate) fn text(&self, id: Id) -> String {
        self.ids.format(id)
    }
}

impl Drop for Place {
    /// A connector keeps a replication slot, of which the server has few; topics make Kafka's next start slower.
    fn drop(&mut self) {
        if self.connected
            && let Err(why) = self.stack.attempt("connector-delete", &[&self.name])
        {
            eprintln!("connector {} may be left behind: {why}", self.name);
        }
        if let Err(why) = self.stack.try_kafka(&["topics-delete", &self.name]) {
            eprintln!("topics of {} may be left behind: {why}", self.name);
        }
    }
}
