//! Forgetting users at the center: the word that holds for ever, and the removal of their rows, from disk too.

use std::collections::BTreeMap;
use std::time::Duration;

use clickhouse::query::Query;
use edgefeed_storage::model::{Id, IdKind, TimestampMs};

use super::client::{Center, within};
use super::error::{Error, Result};
use super::history::Users;

/// Rows by the table they stood in.
pub type RowsOf = BTreeMap<&'static str, u64>;

/// How long the removal from one table may take: ClickHouse writes every part anew that holds a row of theirs.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(540);
/// How long a look through a whole table may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(120);
/// How many posts one statement names.
const POSTS_AT_ONCE: usize = 5_000;
/// How many posts of the users are looked at, at most.
const POSTS_MAX: u32 = 1_000_000;
/// How many users one question brings back, at most.
const USERS_MAX: u32 = 100_000;

/// What is being done, for errors.
const LOOKING: &str = "looking for rows of forgotten users";
const REMOVING: &str = "removing rows of forgotten users";
const NOTING: &str = "noting forgotten users";

/// Tables with the columns that hold a user. Posts come last: until they are gone it is known which were theirs.
const NAMED: [(&str, &[&str]); 7] = [
    ("events", &["user_id", "author_id"]),
    ("user_author_90d", &["user_id", "author_id"]),
    ("follows_cdc", &["follower_id", "following_id"]),
    ("blocks_cdc", &["blocker_id", "blocked_id"]),
    ("likes_cdc", &["user_id"]),
    ("comments_cdc", &["user_id"]),
    ("posts_cdc", &["user_id"]),
];
/// Tables that tell of posts, whoever acted on them.
const OF_POSTS: [(&str, &str); 3] = [
    ("post_metrics_1h", "post_id IN ?"),
    ("post_metrics_daily", "post_id IN ?"),
    // Those with an author are found by it.
    ("events", "post_id IN ? AND author_id IS NULL"),
];

impl Center {
    /// Everybody who is noted as forgotten, and since when.
    ///
    /// # Errors
    /// When the server could not be asked; nothing is known then.
    pub async fn forgotten(&self, ids: IdKind) -> Result<Vec<(Id, TimestampMs)>> {
        let query = self.query(
            "SELECT toString(user_id), toUnixTimestamp64Milli(min(forgotten_at)) FROM forgotten_users \
             GROUP BY user_id LIMIT 100000000",
        );
        let rows = self.fetch::<(String, i64)>(LOOKING, query, LOOK_TIMEOUT).await?;
        Ok(rows.into_iter().filter_map(|(user, at)| Some((ids.parse(&user)?, at))).collect())
    }

    /// Notes that users are forgotten since a time. Twice is once.
    ///
    /// # Errors
    /// It may be noted or not: send the same again.
    pub async fn note_forgotten(&self, ids: IdKind, users: &[(Id, TimestampMs)]) -> Result<()> {
        for (user, at) in users {
            let one = [*user];
            let query = self
                .query(
                    "INSERT INTO forgotten_users (user_id, forgotten_at) \
                     SELECT arrayJoin(?), fromUnixTimestamp64Milli(toInt64(?), 'UTC') SETTINGS async_insert = 0",
                )
                .bind(Users(&one, ids))
                .bind(at);
            within(NOTING, self.insert_timeout(), query.execute()).await?;
        }
        Ok(())
    }

    /// How many rows the tables hold of some users, or of their posts.
    ///
    /// # Errors
    /// When the server could not be asked; nothing is known then.
    pub async fn rows_of(&self, ids: IdKind, users: &[Id]) -> Result<RowsOf> {
        let mut found = RowsOf::new();
        for (table, columns) in NAMED {
            self.count(table, &any_of(columns), users, ids, &mut found).await?;
        }
        for posts in self.posts_of(ids, users).await?.chunks(POSTS_AT_ONCE) {
            for (table, place) in OF_POSTS {
                self.count(table, place, posts, ids, &mut found).await?;
            }
        }
        Ok(found)
    }

    /// Removes the rows of some users and of their posts, and waits until they are off the disk. Gives back how many
    /// there were. What a killed call left is removed by the next one.
    ///
    /// # Errors
    /// Some tables may be done and others not: send the same again.
    pub async fn purge(&self, ids: IdKind, users: &[Id]) -> Result<RowsOf> {
        let mut removed = RowsOf::new();
        for posts in self.posts_of(ids, users).await?.chunks(POSTS_AT_ONCE) {
            for (table, place) in OF_POSTS {
                self.remove(table, place, posts, ids, &mut removed).await?;
            }
        }
        for (table, columns) in NAMED {
            self.remove(table, &any_of(columns), users, ids, &mut removed).await?;
        }
        Ok(removed)
    }

    /// Users who are noted as forgotten and of whom there are rows all the same.
    ///
    /// # Errors
    /// When the server could not be asked; nothing is known then.
    pub async fn revived(&self, ids: IdKind) -> Result<Vec<Id>> {
        let mut users = Vec::new();
        for (table, columns) in NAMED {
            for column in columns {
                let sql = format!(
                    "SELECT DISTINCT toString(assumeNotNull({column})) FROM {table} \
                     WHERE {column} IN (SELECT user_id FROM forgotten_users) LIMIT {USERS_MAX}"
                );
                let found = self.fetch::<String>(LOOKING, self.query(&sql), LOOK_TIMEOUT).await?;
                users.extend(found.iter().filter_map(|user| ids.parse(user)));
            }
        }
        users.sort_unstable();
        users.dedup();
        Ok(users)
    }

    async fn posts_of(&self, ids: IdKind, users: &[Id]) -> Result<Vec<Id>> {
        let sql = format!("SELECT DISTINCT toString(id) FROM posts_cdc WHERE user_id IN ? LIMIT {POSTS_MAX}");
        let found = self.fetch::<String>(LOOKING, self.query(&sql).bind(Users(users, ids)), LOOK_TIMEOUT).await?;
        Ok(found.iter().filter_map(|post| ids.parse(post)).collect())
    }

    async fn count(&self, table: &'static str, place: &str, of: &[Id], ids: IdKind, found: &mut RowsOf) -> Result<()> {
        let sql = format!("SELECT count() FROM {table} WHERE {place}");
        let query = fill(self.query(&sql), place, of, ids);
        let count = self.fetch::<u64>(LOOKING, query, LOOK_TIMEOUT).await?.into_iter().sum::<u64>();
        if count > 0 {
            *found.entry(table).or_default() += count;
        }
        Ok(())
    }

    /// Only where there is something: a mutation for nothing reads every part.
    async fn remove(
        &self,
        table: &'static str,
        place: &str,
        of: &[Id],
        ids: IdKind,
        removed: &mut RowsOf,
    ) -> Result<()> {
        let mut here = RowsOf::new();
        self.count(table, place, of, ids, &mut here).await?;
        let Some(count) = here.get(table) else { return Ok(()) };
        let sql = format!("ALTER TABLE {table} DELETE WHERE {place}");
        let query = fill(self.query(&sql), place, of, ids)
            // On every replica, and not before it is done.
            .with_setting("mutations_sync", "2")
            .with_setting("max_execution_time", "0");
        within(REMOVING, REMOVE_TIMEOUT, query.execute()).await?;
        let mut left = RowsOf::new();
        self.count(table, place, of, ids, &mut left).await?;
        *removed.entry(table).or_default() += count;
        match left.get(table) {
            None => Ok(()),
            // Rows that came meanwhile, or a server that does not wait.
            Some(left) => {
                Err(Error::Refused { what: REMOVING, code: None, message: format!("{left} are left in {table}") })
            }
        }
    }
}

/// `a IN ? OR b IN ?`; names come from the list above.
fn any_of(columns: &[&str]) -> String {
    columns.iter().map(|column| format!("{column} IN ?")).collect::<Vec<_>>().join(" OR ")
}

/// Puts the ids into each place.
fn fill(query: Query, place: &str, of: &[Id], ids: IdKind) -> Query {
    (0..place.matches('?').count()).fold(query, |query, _| query.bind(Users(of, ids)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_gap_a_column() {
        assert_eq!(any_of(&["user_id"]), "user_id IN ?");
        assert_eq!(any_of(&["a", "b"]), "a IN ? OR b IN ?");
    }

    #[test]
    fn every_table_of_the_schema_that_names_a_user_or_a_post_is_swept() {
        let swept: Vec<_> = NAMED.iter().map(|(table, _)| *table).chain(OF_POSTS.map(|(table, _)| table)).collect();
        for file in super::super::schema::FILES {
            let columns = file.text.split_once('(').map_or("", |(_, columns)| columns);
            let names = ["user_id", "author_id", "post_id", "follower_id", "blocker_id"];
            let table = file.makes();
            if names.iter().any(|name| columns.contains(name)) && !["forgotten_users"].contains(&table) {
                assert!(swept.contains(&table) || table.starts_with("mv_"), "{table}");
            }
        }
        assert_eq!(NAMED.last().map(|(table, _)| *table), Some("posts_cdc"), "last");
    }
}
