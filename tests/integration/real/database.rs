//! The application's own writes.

use edgefeed_storage::model::Id;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::Mutex;

/// A connection to the application's database.
pub(crate) struct Database(Mutex<PgConnection>);

impl Database {
    pub(crate) async fn open(url: &str) -> Self {
        Self(Mutex::new(PgConnection::connect(url).await.unwrap()))
    }

    /// Runs statements in one transaction; back when they are committed.
    pub(crate) async fn run(&self, statements: String) {
        let mut connection = self.0.lock().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.clone())).execute(&mut *connection).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Asks for one value.
    pub(crate) async fn ask<T>(&self, question: String) -> T
    where
        T: Send + Unpin + for<'row> sqlx::Decode<'row, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut connection = self.0.lock().await;
        let asked = sqlx::query_scalar(AssertSqlSafe(question.clone())).fetch_one(&mut *connection).await;
        asked.unwrap_or_else(|error| panic!("{question}: {error}"))
    }
}

/// A row to be written: `table (columns) VALUES (…)`, ids and times quoted, as PostgreSQL reads both kinds of ids.
pub(crate) fn insert(table: &str, row: &[(&str, String)]) -> String {
    let columns: Vec<_> = row.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = row.iter().map(|(_, value)| format!("'{value}'")).collect();
    format!("INSERT INTO {table} ({}) VALUES ({});\n", columns.join(", "), values.join(", "))
}

/// The rows tests write most.
impl super::place::Place {
    pub(crate) fn post_row(&self, post: Id, author: Id, created_ms: i64) -> String {
        let created = edgefeed::feed::rfc3339(created_ms);
        insert("posts", &[("id", self.text(post)), ("user_id", self.text(author)), ("created_at", created)])
    }

    pub(crate) fn pair_row(&self, table: &str, columns: [&str; 2], pair: [Id; 2]) -> String {
        insert(table, &[(columns[0], self.text(pair[0])), (columns[1], self.text(pair[1]))])
    }

    pub(crate) fn follow_row(&self, follower: Id, following: Id) -> String {
        self.pair_row("follows", ["follower_id", "following_id"], [follower, following])
    }

    pub(crate) fn block_row(&self, blocker: Id, blocked: Id) -> String {
        self.pair_row("blocks", ["blocker_id", "blocked_id"], [blocker, blocked])
    }

    pub(crate) fn like_row(&self, user: Id, post: Id) -> String {
        self.pair_row("likes", ["user_id", "post_id"], [user, post])
    }

    pub(crate) fn comment_row(&self, comment: Id, post: Id, user: Id) -> String {
        let row = [("id", self.text(comment)), ("post_id", self.text(post)), ("user_id", self.text(user))];
        insert("comments", &row)
    }
}
