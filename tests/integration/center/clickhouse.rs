//! ClickHouse by plain HTTP: a database of one's own, and questions to it.

use std::time::Duration;

use reqwest::Client;
use serde::de::DeserializeOwned;

use super::log::Ids;

/// Enough for the largest comparison on a slow machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// One database on the stack's server; gone when dropped by a passing test.
pub(crate) struct ClickHouse {
    pub(crate) url: String,
    pub(crate) database: String,
    client: Client,
}

impl ClickHouse {
    /// A database without tables, which `edgefeed migrate` or [`ClickHouse::tables_by_hand`] makes.
    pub(crate) fn new(url: &str, database: &str) -> Self {
        let client = Client::builder().no_proxy().timeout(ANSWER_WITHIN).build().unwrap();
        Self { url: url.trim_end_matches('/').to_owned(), database: database.to_owned(), client }
    }

    /// Runs a statement; its answer as text. `DB` in it stands for the database.
    pub(crate) async fn run(&self, statement: &str) -> String {
        self.attempt(statement).await.unwrap_or_else(|why| panic!("{statement}\n{why}"))
    }

    pub(crate) async fn attempt(&self, statement: &str) -> Result<String, String> {
        let statement = statement.replace("DB.", &format!("`{}`.", self.database));
        let answer = self.client.post(&self.url).body(statement).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(text) } else { Err(text) }
    }

    /// The rows of a question, each an array of its columns.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, question: &str) -> Vec<T> {
        let text = self.run(&format!("{question} FORMAT JSONCompactEachRow")).await;
        let row = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}\n{question}"));
        text.lines().map(row).collect()
    }

    /// One number.
    pub(crate) async fn number(&self, question: &str) -> u64 {
        let rows: Vec<[String; 1]> = self.rows(question).await;
        let [[number]] = &*rows else { panic!("{question}: {rows:?}") };
        number.parse().unwrap()
    }

    /// The tables as `sql/` has them, without `edgefeed migrate`.
    pub(crate) async fn tables_by_hand(&self, ids: Ids) {
        self.run(&format!("CREATE DATABASE IF NOT EXISTS `{}`", self.database)).await;
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/clickhouse/schema");
        let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            let statement = std::fs::read_to_string(file).unwrap();
            let given = [
                ("{database}", format!("`{}`", self.database)),
                ("{on_cluster}", String::new()),
                ("{id}", if ids == Ids::U64 { "UInt64" } else { "UUID" }.to_owned()),
                ("{replicated}", String::new()),
                ("{dedup_window}", "non_replicated_deduplication_window = 100000".to_owned()),
            ];
            self.run(&given.iter().fold(statement, |text, (name, value)| text.replace(name, value))).await;
        }
    }

    /// Removes the database.
    pub(crate) async fn drop_database(&self) {
        self.run(&format!("DROP DATABASE IF EXISTS `{}`", self.database)).await;
    }
}
